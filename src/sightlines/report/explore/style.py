"""The explorer's style; it takes the page's colours."""

STYLE = """\
.explore-controls { display: flex; flex-wrap: wrap; gap: 0.6rem 1.1rem; align-items: flex-end;
  margin: 0.8rem 0; }
.explore-controls fieldset { flex: 1 0 100%; display: flex; flex-wrap: wrap; gap: 0.2rem 1rem;
  min-width: 0; margin: 0; padding: 0.3rem 0.7rem 0.5rem; border: 1px solid var(--line);
  border-radius: 0.3rem; }
.explore-controls legend,
.explore-controls label > span { color: var(--soft); font-size: 0.85rem; }
.explore-controls label { display: grid; gap: 0.15rem; min-width: 0; }
.explore-controls .explore-check { display: inline-flex; gap: 0.35rem; align-items: center;
  min-height: 1.6rem; }
.explore-controls .explore-check > span { color: var(--ink); font-size: 0.95rem; }
.explore-controls select { font: inherit; font-size: 0.95rem; max-width: min(20rem, 84vw);
  padding: 0.25rem 0.35rem; color: var(--ink); background: var(--page); border: 1px solid
  var(--soft); border-radius: 0.3rem; }
.explore-maps { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill,
  minmax(min(100%, 15.5rem), 1fr)); }
.explore-legend { margin: 0.4rem 0 1rem; }
.explore-legend svg { overflow: visible; max-width: 100%; }
.explore-maps figure { margin: 0; min-width: 0; max-width: 26rem; }
.explore-maps figcaption { margin: 0 0 0.2rem; font-size: 0.95rem; font-weight: 600; }
.explore-plot { position: relative; cursor: crosshair; touch-action: pan-y; }
.explore-plot:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.explore-maps .explore-plot svg { display: block; width: 100%; height: auto; }
.explore-mark { fill: none; stroke: #ffffff; stroke-width: 2px; paint-order: stroke;
  pointer-events: none; filter: drop-shadow(0 0 1px #000000) drop-shadow(0 0 1px #000000); }
.explore-tip { position: fixed; z-index: 5; max-width: min(24rem, 92vw); padding: 0.4rem 0.6rem;
  pointer-events: none; color: var(--ink); background: var(--page); border: 1px solid
  var(--soft); border-radius: 0.3rem; box-shadow: 0 2px 8px rgb(0 0 0 / 25%); font-size: 0.88rem;
  line-height: 1.4; }
.explore-said { min-height: 3.1em; margin: 0.6rem 0; font-size: 0.9rem; max-width: none; }
.explore-none { color: var(--soft); font-size: 0.9rem; }
.explore-details { margin: 0.6rem 0; padding: 0 0.9rem 0.3rem; border: 1px solid var(--line);
  border-radius: 0.3rem; }
.explore-details td,
.explore-details th { white-space: normal; text-align: left; vertical-align: top; min-width:
  8rem; }
.explore-key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; padding: 0; margin: 0.4rem 0;
  list-style: none; font-size: 0.9rem; }
.explore-key span { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.35rem;
  border-radius: 50%; }
@media print {
  #explore-app {
    display: none;
  }
}
"""
