"""Style sheet of report.html. Series colours are Okabe and Ito's, which stay apart for colour-blind readers."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1c1f23; --muted: #5b626b; --rule: #e1e3e6; --grid: #e9ebed;
  --train: #6c737b; --valid: #0072b2; --test: #d55e00; --mark: #8a9098;
  --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #b0568a;
  --c5: #c98a00; --c6: #4ba3d8; --c7: #7a6a1c; --c8: #1c1f23;
  --done: #1a7f4b; --stopped: #8a5a00; --failed: #b3261e; --notice: #fdf3dc; --alarm: #fdeceb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1c1f23; --ink: #e6e8ea; --muted: #9ba3ac; --rule: #2f343a; --grid: #2a2e33;
    --train: #9ba3ac; --valid: #56b4e9; --test: #f08a3c; --mark: #7d858e;
    --c1: #56b4e9; --c2: #f08a3c; --c3: #35c79b; --c4: #e08fbd;
    --c5: #e6b13c; --c6: #8fb6ff; --c7: #c9bb6a; --c8: #e6e8ea;
    --done: #5cc990; --stopped: #e8b450; --failed: #ff8f86; --notice: #33290f; --alarm: #3a1d1b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1240px; margin: 0 auto; padding: 28px clamp(14px, 3vw, 40px) 56px; }
h1 { margin: 0; font-size: 28px; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 44px 0 14px; font-size: 19px; font-weight: 650; overflow-wrap: anywhere; }
p { margin: 8px 0; max-width: 80ch; overflow-wrap: anywhere; }
.muted, .facts { color: var(--muted); }
.facts { margin: 6px 0 0; max-width: none; }
.heading { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; }
.status { font-size: 13px; font-weight: 600; padding: 2px 10px; border: 1px solid currentColor; border-radius: 99px; }
.done { color: var(--done); } .stopped { color: var(--stopped); } .failed { color: var(--failed); }
.banner { margin: 18px 0 0; padding: 11px 16px; border-radius: 8px; background: var(--notice); max-width: none; }
.banner.alarm { background: var(--alarm); }
.banner pre { margin: 6px 0 0; padding: 0; border: 0; background: none; }

.cards { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.card { padding: 13px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.card dt { color: var(--muted); font-size: 13px; }
.card dd { margin: 0; }
.card .value { font-size: 27px; line-height: 1.3; font-weight: 600; }
.card .small { font-size: 13px; }
dl { margin: 0; }

.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: min(100%, 560px); }
th, td { padding: 6px 22px 6px 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
thead th { color: var(--muted); font-weight: 500; font-size: 13px; }
tbody th { white-space: nowrap; }
tbody th, .h, .l, .n, .w { text-align: left; }
td.l, li { overflow-wrap: anywhere; }
td.w { min-width: 190px; overflow-wrap: anywhere; }
td.n, td.r { white-space: nowrap; }
td small { display: block; color: var(--muted); font-size: 12.5px; white-space: nowrap; }
td small.reason { white-space: normal; }
.definitions { display: grid; grid-template-columns: max-content 1fr; gap: 5px 22px; }
.definitions dt { color: var(--muted); }
.definitions dd { margin: 0; overflow-wrap: anywhere; }
.columns { display: grid; gap: 24px 56px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.room { display: block; width: clamp(80px, 16vw, 220px); }
.share { display: block; height: 6px; margin-top: 8px; border-radius: 3px; background: var(--valid); min-width: 1px; }
.share.against { background: var(--test); }

.charts { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); max-width: 960px; }
.pair + .pair { margin-top: 18px; }
figure {
  margin: 0; padding: 13px 14px 8px; max-width: 600px;
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
}
figcaption { font-weight: 600; font-size: 14px; overflow-wrap: anywhere; }
figure > svg { display: block; width: 100%; height: auto; }
.legend {
  display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 2px 0 6px; padding: 0; list-style: none;
  color: var(--muted); font-size: 13px;
}
.swatch { width: 26px; height: 8px; margin-right: 6px; vertical-align: middle; }
svg text { font-size: 13px; fill: var(--muted); }
.grid { stroke: var(--grid); } .axis, .tick { stroke: var(--mark); }
.diagonal { stroke: var(--mark); stroke-dasharray: 3 4; }
.mark { stroke: var(--mark); stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.quiet { stroke-width: 1.2; opacity: 0.75; }
.bar { stroke-width: 1.5; }
.train { stroke: var(--train); } .valid { stroke: var(--valid); } .test { stroke: var(--test); }
.line.train { stroke-dasharray: 6 3; }
.line.whole { stroke-dasharray: none; stroke-width: 1.5; }
.dot.train { fill: var(--train); } .dot.valid { fill: var(--valid); } .dot.test { fill: var(--test); }
.c1 { --own: var(--c1); } .c2 { --own: var(--c2); } .c3 { --own: var(--c3); } .c4 { --own: var(--c4); }
.c5 { --own: var(--c5); } .c6 { --own: var(--c6); } .c7 { --own: var(--c7); } .c8 { --own: var(--c8); }
.behind { --own: var(--rule); }
.c1, .c2, .c3, .c4, .c5, .c6, .c7, .c8, .behind { stroke: var(--own); }
.dot:is(.c1, .c2, .c3, .c4, .c5, .c6, .c7, .c8, .behind) { fill: var(--own); stroke: none; }
.dot.quiet { opacity: 0.55; }
.value text { fill: var(--ink); }

details { margin: 14px 0; }
summary { cursor: pointer; color: var(--muted); }
summary:hover { color: var(--ink); }
details > :not(summary) { margin-top: 10px; }
pre {
  margin: 8px 0; padding: 12px 14px; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
}
pre, code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.command { user-select: all; }

@media (max-width: 620px) {
  main { padding-top: 18px; }
  h1 { font-size: 23px; }
  .cards { grid-template-columns: 1fr 1fr; }
  .card, figure { padding: 10px 12px; }
  .card .value { font-size: 23px; }
  th, td { padding-right: 12px; }
  td small { white-space: normal; }
}
@media print {
  :root { color-scheme: light; }
  body { font-size: 11pt; background: none; }
  main { max-width: none; padding: 0; }
  figure, .card, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
