/** The page's style sheet, light and dark. The series' colours are distinct with red-green blindness, too. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f6f7f9; --ink: #1c2024; --muted: #5a626b; --grid: #dfe3e8; --axis: #9aa3ad;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #009e73; --series-4: #b3589a;
  --series-5: #b8860b; --series-6: #2f9fd8; --series-7: #444b54; --series-8: #a3341c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --card: #1d2125; --ink: #e6e9ec; --muted: #a2abb4; --grid: #343a41; --axis: #6b747d;
    --series-1: #4aa8e8; --series-2: #ff8a3d; --series-3: #2fcf9f; --series-4: #e08cc8;
    --series-5: #e6b93f; --series-6: #8fd3ff; --series-7: #c3cad1; --series-8: #f0705a;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0; padding-top: 1rem; border-top: 1px solid var(--grid); }
p, li { max-width: 50rem; }
p { margin: .4rem 0; }
nav a { margin-right: 1rem; }
a { color: var(--series-1); }
.measured { max-width: none; color: var(--muted); font-size: .875rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem;
  margin: 1rem 0; align-items: start; }
.charts:empty { display: none; }
figure { margin: 0; padding: .75rem; background: var(--card); border-radius: .5rem; max-width: 40rem; }
h3, figcaption { margin: 0; font-size: .9rem; font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .25rem 0; padding: 0;
  font-size: .875rem; }
.legend li::before { content: ''; display: inline-block; width: 1.4em; margin-right: .4em; vertical-align: middle;
  border-top: .2em var(--line); }
.legend small { color: var(--muted); }
.table { overflow-x: auto; margin: .25rem 0 1.25rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .75rem; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--muted); font-weight: 500; white-space: normal; vertical-align: bottom; }
.text { text-align: left; }
`
