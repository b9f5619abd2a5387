// How /statistics looks. Light and dark by the browser's wish; the charts take their colours from the variables here.
export const statisticsStyle = `:root {
  color-scheme: light dark;
  font: 100%/1.45 system-ui, sans-serif;
  --text: light-dark(#1f2328, #e6e6e6); --muted: light-dark(#57606a, #a5adb6); --page: light-dark(#f6f7f9, #14171b);
  --card: light-dark(#fff, #1d2126); --line: light-dark(#d0d7de, #3a414a); --accent: light-dark(#c2410c, #fb923c);
  --series-1: light-dark(#1d4ed8, #7aa7ff); --series-2: light-dark(#b45309, #f5b14c); --series-3: light-dark(#0f766e, #4fd1c5);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); }
main { max-width: 90rem; margin: 0 auto; padding: 1rem; }
header, nav, #controls, .heading, dl { display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: end; }
header, .heading { justify-content: space-between; align-items: center; }
h1, h2, h3 { margin: 0; line-height: 1.2; } h1 { font-size: 1.5rem; } h2 { font-size: 1.3rem; } h3 { font-size: 1rem; }
a { color: var(--accent); }
nav { align-items: center; }
button, select, input, output { font: inherit; color: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--card); min-height: 2.4rem; }
button { cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
#controls { margin: 1rem 0 .5rem; }
.field { display: grid; grid-template-columns: minmax(0, 1fr); gap: .2rem; flex: 0 1 auto; min-width: 0; }
.field[hidden] { display: none; }
.field > * { max-width: 100%; }
output { overflow-wrap: anywhere; }
label, dt { font-size: .85rem; color: var(--muted); }
output { display: block; }
#status { color: var(--muted); min-height: 1.45em; margin: .5rem 0; }
#status.error, p.error { color: var(--text); border-left: .25rem solid #dc2626; padding-left: .7rem; }
section { margin: 1.5rem 0; }
dl { gap: .75rem; margin: .75rem 0; } dl > div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; min-width: 8rem; }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.empty { background: var(--card); border: 1px dashed var(--line); border-radius: .5rem; padding: 1rem; max-width: 60rem; }
article { display: grid; grid-template-columns: minmax(0, 1fr); gap: .75rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem; margin: .9rem 0; min-width: 0; }
.drawing { position: relative; height: 16rem; overflow: hidden; }
.table { overflow: auto; max-height: 16rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; }
thead th { position: sticky; top: 0; background: var(--card); }
@media (min-width: 64rem) { article { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); } article h3 { grid-column: 1 / -1; } }
@media (max-width: 30rem) { main { padding: .6rem; } .field { flex: 1 1 45%; } select, input { width: 100%; } article { padding: .6rem; } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
`;
