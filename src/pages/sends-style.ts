// How /sends looks, beside what it shares with /statistics.
export const sendsStyle = `:root {
  --sent: light-dark(#1a7f37, #4ac26b); --failed: light-dark(#cf222e, #ff7b72); --unknown: light-dark(#8250df, #c297ff);
  --refused: light-dark(#9a6700, #e3b341); --pending: light-dark(#0969da, #79c0ff);
}
#search { display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: end; margin: 1rem 0 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem .9rem; }
#search .field[data-field="search_for"] { flex: 1 1 16rem; }
#search input { width: 100%; }
.two { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0 1rem; }
article { align-content: start; }
article p { margin: 0; color: var(--muted); font-size: .9rem; }
td.text, th.text { text-align: left; }
td.wrap { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
.plain { padding: 0; border: 0; background: none; min-height: 1.6rem; color: var(--accent); text-decoration: underline; text-align: left; }
.chip { display: inline-flex; gap: .6rem; align-items: center; border: 1px solid var(--line); border-radius: 1rem; padding: .15rem .8rem; background: var(--card); }
.state { font-weight: 600; white-space: nowrap; }
.state::before { content: ""; display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .4rem; background: var(--own, var(--muted)); }
.is-sent { --own: var(--sent); } .is-failed { --own: var(--failed); } .is-unknown { --own: var(--unknown); } .is-due, .is-sending { --own: var(--pending); }
.is-refused { --own: var(--refused); }
small { color: var(--muted); }
#list .table { max-height: none; position: relative; }
#list table { font-size: .92rem; } #list th, #list td { text-align: left; vertical-align: top; white-space: normal; }
#list td:first-child, #list td:nth-child(5) { white-space: nowrap; }
#list article { display: block; }
.tools { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
@media (min-width: 64rem) { .two article, #list article { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 46rem) {
  #search .field, #search .field[data-field="search_for"] { flex: 1 1 100%; }
  #search .field > select { width: 100%; min-width: 0; }
  #list thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  #list table, #list tbody, #list tr, #list td { display: block; }
  #list tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  #list td { border: 0; padding: .1rem 0; white-space: normal; overflow-wrap: anywhere; }
  #list td::before { content: attr(data-label) ": "; color: var(--muted); font-size: .85rem; }
  #list td:empty { display: none; }
}
`;
