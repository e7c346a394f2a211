"""How the report page looks, by day and by night."""

STYLE = """
:root { color-scheme: light dark; --bar: #4878a8; --line: #8884; --good: #2e8b5722; --bad: #c0392b22; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .5rem; } h4 { margin: .3rem 0; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
th, td { text-align: left; vertical-align: top; } td small { display: block; opacity: .7; max-width: 30rem; }
.wide { overflow-x: auto; } .verdict { padding: .8rem 1rem; border-radius: .4rem; background: var(--line); }
.verdict.good { background: var(--good); } .verdict.bad { background: var(--bad); }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .8rem; margin: .4rem 0; }
details.good { background: var(--good); } details.bad { background: var(--bad); }
summary { cursor: pointer; overflow-wrap: anywhere; } summary i { opacity: .8; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--line); padding: .6rem; border-radius: .3rem; }
dl { margin: .5rem 0; } dt { font-weight: 600; } dd { margin: 0 0 .5rem 1rem; } dt, dd { overflow-wrap: anywhere; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; } .two > div { min-width: 0; }
@media (max-width: 50rem) { .two { grid-template-columns: 1fr; } }
.state { font-weight: 600; } .bar { display: inline-block; width: 6rem; height: .7rem; background: var(--line); }
.bar span { display: block; height: 100%; background: var(--bar); }
"""
