"""The look of a statement, on a screen and on A4: no font, script or picture from anywhere else."""

STYLE = """
:root { color-scheme: light; --ink: #17212b; --soft: #5a6875; --line: #d9e0e6; --pale: #f5f7f9;
  --mark: #0b4f6c; --rule: #b9c4cd; }
* { box-sizing: border-box; }
html { background: #e9edf0; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 56rem; background: #fff; color: var(--ink);
  padding: 3rem clamp(1rem, 5vw, 3.5rem) 3rem; font: 15px/1.5 "Segoe UI", "Helvetica Neue",
  "Noto Sans", "Liberation Sans", Arial, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
  "Noto Sans SC", sans-serif; font-variant-numeric: tabular-nums lining-nums; }
:lang(zh) body { font-family: "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC",
  sans-serif; }
@media (min-width: 60rem) { body { margin: 2rem auto; box-shadow: 0 1px 3px rgb(23 33 43 / .18); } }
header { display: grid; grid-template-columns: 1fr auto; gap: 1rem 2rem; align-items: end;
  border-bottom: 3px solid var(--mark); padding-bottom: 1.1rem; }
.club { margin: 0 0 .2rem; color: var(--mark); font-weight: 600; letter-spacing: .02em; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; font-weight: 650; }
h1 span { display: block; font-size: 1.15rem; font-weight: 400; color: var(--soft);
  margin-top: .15rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.1rem; color: var(--mark); break-after: avoid; }
dl.facts { margin: 0; display: grid; grid-template-columns: auto auto; gap: .1rem 1rem;
  font-size: .88rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
ul.tiles { list-style: none; margin: 1.5rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .9rem; }
ul.tiles li { flex: 1 1 12rem; background: var(--pale); border: 1px solid var(--line);
  border-radius: 8px; padding: .85rem 1.1rem; }
ul.tiles span { display: block; color: var(--soft); font-size: .88rem; }
ul.tiles strong { display: block; font-size: 1.9rem; font-weight: 600; line-height: 1.25; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
.wide + .wide { margin-top: 1.5rem; }
caption { text-align: start; color: var(--soft); font-size: .88rem; padding: 0 0 .35rem; }
th { text-align: start; font-weight: 600; }
th, td { padding: .4rem .6rem; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-inline-start: 0; }
th:last-child, td:last-child { padding-inline-end: 0; }
thead th { color: var(--soft); font-size: .82rem; border-bottom: 1px solid var(--rule);
  vertical-align: bottom; }
thead th.group { border-bottom: 1px solid var(--line); text-align: end; color: var(--ink); }
tbody th { font-weight: 400; }
.n { text-align: end; white-space: nowrap; }
.date { white-space: nowrap; }
td.text { min-width: 12rem; overflow-wrap: anywhere; }
small { display: block; color: var(--soft); font-size: .82rem; }
tr.sum th, tr.sum td { font-weight: 600; background: var(--pale); }
tr.sum th:first-child { padding-inline-start: .6rem; }
tr.sum td:last-child { padding-inline-end: .6rem; }
table.sums th:first-child, table.sums td:first-child, table.lines th:first-child,
table.lines td:first-child { padding-inline-start: .6rem; }
table.sums th:last-child, table.sums td:last-child, table.lines th:last-child,
table.lines td:last-child { padding-inline-end: .6rem; }
table.lines .n, table.lines .date { width: 1%; }
table.soon { width: auto; min-width: 55%; }
p.none, p.soft { color: var(--soft); margin: .3rem 0; }
p.more { margin: 1.5rem 0 0; font-weight: 600; } a { color: var(--mark); }
footer { margin-top: 2.4rem; padding-top: .8rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .82rem; }
@media (max-width: 40rem) { body { padding-top: 1.5rem; } header { grid-template-columns: 1fr; }
  th, td { padding: .35rem .4rem; } .date { white-space: normal; } td.text { min-width: 9rem; } }
@page { size: A4; margin: 15mm 14mm 17mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif;
    color: #5a6875; } }
@media print { html, body { background: #fff; } body { margin: 0; padding: 0; max-width: none;
    box-shadow: none; font-size: 9.5pt; }
  .wide { overflow: visible; } thead { display: table-header-group; } tr { break-inside: avoid; }
  th, td { padding-block: .28rem; }
  ul.tiles li, tr.sum th, tr.sum td { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  a { color: inherit; text-decoration: none; } td.text { min-width: 0; } }
"""
