// The stylesheet of the short pages.

/** CSS. */
export const stylesheet = `:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(26rem, 100% - 2rem); }
h1 { font-size: 1.4rem; }
label { display: block; font-weight: 600; }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem; margin: .3rem 0 1rem; border: 1px solid #888; border-radius: .4rem; }
button { background: #c2410c; border-color: #c2410c; color: #fff; font-weight: 600; cursor: pointer; }
.error { border-left: .25rem solid #dc2626; padding-left: .7rem; }
small { opacity: .8; }`;
