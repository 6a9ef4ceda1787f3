"""The look of the API reference: no font, script or picture from anywhere else."""

STYLE = """
:root { color-scheme: light dark; --ink: #14212b; --soft: #51626f; --line: #d7dfe5; --back: #fff;
  --side: #f4f7f9; --code: #f0f4f7; --mark: #0b5c8a; --get: #0b5c8a; --post: #1b6b3a;
  --put: #7a4b00; --delete: #a3261c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf2; --soft: #a3b3bf; --line: #2c3a45;
  --back: #10181e; --side: #151f27; --code: #1b2731; --mark: #7cc4f0; --get: #7cc4f0;
  --post: #7fd6a1; --put: #f0bd6b; --delete: #ff9a90; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back);
  display: grid; grid-template-columns: minmax(15rem, 23rem) minmax(0, 1fr); }
a { color: var(--mark); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 1rem; z-index: 1;
  background: var(--back); padding: .5rem 1rem; }
nav { background: var(--side); border-right: 1px solid var(--line); padding: 1.5rem 1.25rem;
  height: 100vh; position: sticky; top: 0; overflow-y: auto; }
nav h2 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft);
  margin: 1.4rem 0 .3rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .6rem; padding: .18rem 0; text-decoration: none; color: var(--ink);
  font-size: .9rem; } nav li a:hover span:last-child { text-decoration: underline; }
nav .method { min-width: 3.4rem; }
nav li span:last-child { overflow-wrap: anywhere; min-width: 0; }
main { padding: 2rem clamp(1rem, 4vw, 4rem) 6rem; max-width: 68rem; }
h1 { font-size: 2rem; margin: 0 0 .25rem; line-height: 1.2; }
h2 { margin: 3rem 0 .5rem; font-size: 1.4rem; text-transform: capitalize; }
h3 { margin: 0; font-size: 1.05rem; display: flex; flex-wrap: wrap; gap: .2rem .8rem;
  align-items: baseline; font-weight: 600; } h4 { margin: 1.1rem 0 .3rem; font-size: .9rem; }
article { border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem;
  margin: 1rem 0; } article:target { border-color: var(--mark); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  font-size: .88em; }
code { background: var(--code); padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere; }
h3 code { background: none; padding: 0; font-size: 1.02rem; }
pre { background: var(--code); padding: .8rem 1rem; border-radius: 8px; overflow-x: auto;
  margin: .4rem 0; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
.method { font: 700 .78rem/1.6 ui-monospace, Menlo, Consolas, monospace;
  text-transform: uppercase; }
.get { color: var(--get); } .post { color: var(--post); } .put, .patch { color: var(--put); }
.delete { color: var(--delete); }
.soft { color: var(--soft); } .roles { font-size: .88rem; color: var(--soft); margin: .3rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
summary { cursor: pointer; padding: .25rem 0; } summary code { margin-right: .5rem; }
.notice { border-left: 4px solid var(--put); padding: .5rem 1rem; background: var(--side); }
@media (max-width: 56rem) { body { display: block; } nav { position: static; height: auto;
  border-right: 0; border-bottom: 1px solid var(--line); } }
@media print { nav { display: none; } body { display: block; } article { break-inside: avoid; } }
"""
