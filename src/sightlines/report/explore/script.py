"""The explorer's own script: what is asked of the maps and lines that Observable Plot draws.

A Python module rather than a data file, so that it takes part in the stage's code digest. All text
reaches the page as text (`textContent`), never as markup: names come from configs and from results
of others.
"""

SCRIPT = r"""
"use strict";
(() => {
  const app = document.getElementById("explore-app");
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const { networks, models, runs } = data;
  const isPair = runs.length > 1;
  const COLOURS = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D31",
    "#7F7F7F",
  ];
  const UNDEFINED = 65535;

  // -- numbers ---------------------------------------------------------------------------------

  const numbers = (() => {
    const text = atob(data.numbers),
      bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Uint16Array(bytes.buffer);
  })();
  const maps = new Map(data.maps.map((m) => [`${m.index}|${m.a}|${m.b}`, m]));
  const said = (value, digits = 4) => value.toFixed(digits).replace("-", "−");

  /* The map of two networks, rows for the first: which layers it has, and what stands in a cell. */
  function cellsOf(a, b, index, layers) {
    let m = maps.get(`${index}|${a}|${b}`),
      isTurned = false;
    if (!m) {
      m = maps.get(`${index}|${b}|${a}`);
      isTurned = true;
    }
    if (!m || !m.layers) return null;
    const own = [layersOf(m.a, m.layers), layersOf(m.b, m.layers)];
    const shown = [m.a, m.b].map((n, side) => {
      const wanted = layers === "blocks" ? layersOf(n, "blocks") : own[side];
      return wanted.map((layer) => own[side].indexOf(layer));
    });
    const width = own[1].length,
      isHalf = m.a === m.b;
    const number = (begin, row, column) => {
      let i = shown[0][isTurned ? column : row],
        j = shown[1][isTurned ? row : column];
      if (isHalf && i > j) {
        const k = i;
        i = j;
        j = k;
      }
      const q = numbers[begin + (isHalf ? i * width - (i * (i - 1)) / 2 + j - i : i * width + j)];
      return q === UNDEFINED ? NaN : data.lowest + q * data.step;
    };
    const at = (places, row, column) => places.map((begin) => number(begin, row, column));
    const sides = [0, 1].map((side) => shown[side].map((i) => own[side][i]));
    if (isTurned) sides.reverse();
    return {
      rows: sides[0],
      columns: sides[1],
      isPart: layers === "all" && m.layers === "blocks",
      values: (row, column) => at(m.values, row, column),
      errors: (row, column) => at(m.errors, row, column),
      /* What is drawn: values, or of two experiments the second's less the first's. */
      drawn: (row, column) =>
        (isPair ? number(m.values[1], row, column) : 0) +
        (isPair ? -1 : 1) * number(m.values[0], row, column),
    };
  }
  const layersOf = (n, layers) => {
    const own = models[networks[n].model];
    return layers === "blocks" ? own.blocks : own.layers.map((_, i) => i);
  };
  const layerName = (n, layer) => models[networks[n].model].layers[layer][0];

  // -- state and controls ----------------------------------------------------------------------

  const isNarrow = window.innerWidth < 640;
  const state = {
    models: new Set(data.first.slice(0, isNarrow ? 2 : 4)),
    fraction: data.fraction,
    seed: data.seed,
    versus: "self",
    layers: "all",
    index: "cka",
    measure: data.measures.length ? data.measures[0].key : "",
    controls: true,
  };

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") made.textContent = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false)
        made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  function choice(name, label, options) {
    const select = element(
      "select",
      {
        name,
        onchange: (e) => {
          state[name] = e.target.value;
          draw();
        },
      },
      ...options.map(([value, text]) =>
        element("option", { value, text, selected: value === state[name] }),
      ),
    );
    return element("label", {}, element("span", { text: label }), select);
  }

  const baseSeed = (n) => networks[n].seed.replace(/_on$/, "");
  const distinct = (values) => [...new Set(values)];
  const places = networks.map((_, n) => n);

  function findNetwork(model) {
    const own = places.filter(
      (n) => networks[n].model === model && networks[n].fraction === state.fraction,
    );
    const found = own.filter((n) => baseSeed(n) === state.seed);
    return found.find((n) => networks[n].seed.endsWith("_on")) ?? found[0] ?? null;
  }

  const other = {
    self: (n) => n,
    control: (n) => networks[n].control,
    full: (n) => networks[n].full,
  };

  function versus(n) {
    return state.versus in other ? other[state.versus](n) : Number(state.versus);
  }

  const hasIndices = data.maps.some((m) => m.index !== "cka");
  const form = element(
    "form",
    { class: "explore-controls", onsubmit: (e) => e.preventDefault() },
    element(
      "fieldset",
      {},
      element("legend", { text: "Networks" }),
      ...models.map((model, place) =>
        element(
          "label",
          { class: "explore-check" },
          element("input", {
            type: "checkbox",
            name: "model",
            value: String(place),
            checked: state.models.has(place),
            onchange: (e) => {
              state.models[e.target.checked ? "add" : "delete"](place);
              draw();
            },
          }),
          element("span", { text: model.label }),
        ),
      ),
    ),
    choice("fraction", "Share of training images", data.fractions),
    choice(
      "seed",
      "Seed",
      distinct(places.map(baseSeed))
        .sort()
        .map((s) => [s, s]),
    ),
    choice("versus", "Compared with", [
      ["self", "themselves"],
      ["control", "their untrained controls"],
      ["full", "their networks on all images"],
      ...networks.map((n, i) => [String(i), n.label]),
    ]),
    choice("layers", "Layers", [
      ["all", "all sub-layers"],
      ["blocks", "block outputs"],
    ]),
    ...(hasIndices ? [choice("index", "Index of similarity", data.indices)] : []),
  );

  // -- what is pointed at ----------------------------------------------------------------------

  const tip = element("div", { class: "explore-tip", "aria-hidden": "true", hidden: true });
  function showTip(lines, x, y) {
    tip.replaceChildren(...lines.map((text) => element("div", { text })));
    tip.hidden = false;
    const box = tip.getBoundingClientRect(),
      edge = document.documentElement.clientWidth;
    const left = Math.max(4, Math.min(x + 14, edge - box.width - 4));
    const top = y - box.height - 14 > 4 ? y - box.height - 14 : y + 18;
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
  }
  const hideTip = () => {
    tip.hidden = true;
  };

  /* One drawing that can be asked: by pointer, by touch, by arrow keys; `said` is read aloud. */
  function asked(plot, label, live, { find, place, move, lines, choose }) {
    const svg = plot.tagName === "svg" ? plot : [...plot.querySelectorAll("svg")].at(-1);
    const ns = "http://www.w3.org/2000/svg";
    const mark = svg.appendChild(document.createElementNS(ns, "rect"));
    mark.setAttribute("class", "explore-mark");
    mark.setAttribute("visibility", "hidden");
    svg.setAttribute("aria-hidden", "true");
    const width = Number(svg.getAttribute("width"));
    let current = null;
    const toPlot = (e) => {
      const box = svg.getBoundingClientRect(),
        scale = width / box.width;
      return [(e.clientX - box.left) * scale, (e.clientY - box.top) * scale];
    };
    function show(found) {
      if (found === null) return;
      const isNew = current === null || found.some((value, i) => value !== current[i]);
      current = found;
      const [x, y, w, h] = place(found),
        box = svg.getBoundingClientRect(),
        scale = box.width / width;
      if (isNew || mark.getAttribute("visibility") === "hidden") {
        for (const [key, value] of Object.entries({
          x,
          y,
          width: w,
          height: h,
          visibility: "visible",
        }))
          mark.setAttribute(key, value);
        const texts = lines(found);
        live.textContent = texts.join("; ");
        showTip(texts, box.left + (x + w) * scale, box.top + y * scale);
      }
    }
    const hide = () => {
      hideTip();
      mark.setAttribute("visibility", "hidden");
    };
    const frame = element(
      "div",
      {
        class: "explore-plot",
        tabindex: "0",
        role: "application",
        "aria-label": label,
        "aria-describedby": "explore-keys",
        onpointermove: (e) => {
          const found = find(...toPlot(e));
          found ? show(found) : hide();
        },
        onpointerleave: hide,
        onblur: hide,
        onfocus: (e) => {
          if (e.target.matches(":focus-visible")) show(current ?? move(null, "Home"));
        },
        onclick: (e) => {
          const found = find(...toPlot(e));
          if (found) {
            show(found);
            choose?.(found);
          }
        },
        onkeydown: (e) => {
          if (e.key === "Escape") return hide();
          if (current && choose && (e.key === "Enter" || e.key === " ")) {
            e.preventDefault();
            return choose(current);
          }
          const found = move(current, e.key);
          if (found) {
            e.preventDefault();
            show(found);
          }
        },
      },
      plot,
    );
    return frame;
  }

  // -- maps ------------------------------------------------------------------------------------

  const indexName = () => data.indices.find(([key]) => key === state.index)[1];
  const plusMinus = (value, error) =>
    Number.isNaN(error) || error === undefined ? said(value) : `${said(value)} ± ${said(error)}`;

  function cellWords(cells, row, column) {
    const values = cells.values(row, column),
      errors = cells.errors(row, column);
    if (isPair) return differenceWords(values, errors);
    const [value] = values,
      [beside] = errors;
    if (Number.isNaN(value)) return "undefined: a layer does not vary over the reference images";
    if (state.index !== "cka")
      return `${indexName()} ${said(value)}; of shuffled images ${said(beside)}`;
    const error = beside === undefined || Number.isNaN(beside) ? "" : " (standard error)";
    return `CKA ${plusMinus(value, beside)}${error}`;
  }

  function differenceWords(values, errors) {
    const own = values.map(
      (value, run) =>
        `${runs[run]}: ${Number.isNaN(value) ? "undefined" : plusMinus(value, errors[run])}`,
    );
    const difference = values[1] - values[0],
      error = Math.hypot(...errors);
    return [...own, `difference ${plusMinus(difference, errors.length ? error : NaN)}`].join(
      "; ",
    );
  }

  function controlWords(a, b, rowLayer, columnLayer) {
    if (isPair) return [];
    const [x, y] = [networks[a].control, networks[b].control];
    if (x === null || y === null) return [];
    const cells = cellsOf(x, y, state.index, "all");
    const row = cells?.rows.indexOf(rowLayer) ?? -1,
      column = cells?.columns.indexOf(columnLayer) ?? -1;
    return row < 0 || column < 0
      ? ["untrained controls: not on this page"]
      : [`untrained controls: ${cellWords(cells, row, column)}`];
  }

  const ticks = (n) => d3.ticks(0, n - 1, Math.min(5, n)).filter(Number.isInteger);

  function drawMap(a, b) {
    const layers = state.index === "cka" ? state.layers : "blocks";
    const cells = cellsOf(a, b, state.index, layers);
    const title = a === b ? networks[a].label : `${networks[a].label} × ${networks[b].label}`;
    const caption = element("figcaption", { text: title });
    if (!cells)
      return element(
        "figure",
        {},
        caption,
        element("p", {
          class: "explore-none",
          text: "This pair is not on the page: the experiment’s tables may have it.",
        }),
      );
    const { rows, columns } = cells,
      n = rows.length,
      m = columns.length;
    const values = new Float64Array(n * m);
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) values[i * m + j] = cells.drawn(i, j);
    const corner = { x1: -0.5, x2: m - 0.5, y1: -0.5, y2: n - 0.5 };
    const plot = Plot.plot({
      width: 300,
      height: 300,
      marginLeft: 34,
      marginBottom: 38,
      marginTop: 8,
      marginRight: 8,
      style: { fontSize: "12px", background: "none" },
      x: {
        domain: [-0.5, m - 0.5],
        ticks: ticks(m),
        tickFormat: "d",
        label: a === b ? "layer" : "layer of the second",
        labelArrow: "none",
        labelAnchor: "center",
      },
      y: { domain: [-0.5, n - 0.5], ticks: ticks(n), tickFormat: "d", label: null },
      color: colour(),
      marks: [
        Plot.rect([0], { ...corner, fill: "#b8bcc2" }),
        Plot.raster(values, { width: m, height: n, ...corner, imageRendering: "pixelated" }),
      ],
    });
    const x = plot.scale("x"),
      y = plot.scale("y");
    const inside = (v, size) => v >= 0 && v < size;
    const layerWord = (n, layer) => `${layerName(n, layer)} (${layer})`;
    const words = ([i, j]) => [
      ...(a === b
        ? [`${networks[a].label}: ${layerWord(a, rows[i])} × ${layerWord(b, columns[j])}`]
        : [
            `${networks[a].label}: ${layerWord(a, rows[i])}`,
            `${networks[b].label}: ${layerWord(b, columns[j])}`,
          ]),
      cellWords(cells, i, j),
      ...controlWords(a, b, rows[i], columns[j]),
    ];
    const frame = asked(plot, `Map of ${indexName()}: ${title}, ${n} × ${m} layers`, liveMaps, {
      find: (px, py) => {
        const j = Math.round(x.invert(px)),
          i = Math.round(y.invert(py));
        return inside(i, n) && inside(j, m) ? [i, j] : null;
      },
      place: ([i, j]) => {
        const left = x.apply(j - 0.5),
          top = y.apply(i + 0.5);
        return [left, top, x.apply(j + 0.5) - left, y.apply(i - 0.5) - top];
      },
      move: (from, key) => {
        if (!from)
          return ["Home", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].includes(key)
            ? [0, 0]
            : null;
        const [i, j] = from;
        const to = {
          ArrowUp: [i + 1, j],
          ArrowDown: [i - 1, j],
          ArrowRight: [i, j + 1],
          ArrowLeft: [i, j - 1],
          Home: [i, 0],
          End: [i, m - 1],
          PageUp: [n - 1, j],
          PageDown: [0, j],
        }[key];
        return to && [Math.max(0, Math.min(n - 1, to[0])), Math.max(0, Math.min(m - 1, to[1]))];
      },
      lines: words,
      choose: ([i, j]) => showDetails(a, rows[i], b, columns[j], words([i, j])),
    });
    const note = cells.isPart
      ? [
          element("p", {
            class: "explore-none",
            text: "Block outputs alone: no room on the page for all sub-layers of this pair.",
          }),
        ]
      : [];
    return element("figure", {}, caption, frame, ...note);
  }

  /* A map that was drawn is kept: another network that is chosen leaves it as it is. */
  const kept = new Map();
  function mapOf(a, b) {
    const key = [a, b, state.index, state.layers, bound].join("|");
    if (!kept.has(key)) {
      if (kept.size > 64) kept.clear();
      kept.set(key, drawMap(a, b));
    }
    return kept.get(key);
  }

  let bound = 1;
  function colour() {
    return isPair
      ? {
          type: "linear",
          scheme: "RdBu",
          domain: [-bound, bound],
          label: `${runs[1]} − ${runs[0]}`,
        }
      : { type: "linear", scheme: "magma", domain: [0, 1], clamp: true, label: indexName() };
  }

  // -- details of two layers -------------------------------------------------------------------

  const pointsOf = new Map(
    data.measures.map((measure) => {
      const of = (points) =>
        d3.rollup(
          points ?? [],
          (rows) => new Map(rows.map((p) => [p[1], p])),
          (p) => p[0],
        );
      return [measure.key, [of(measure.points), of(measure.others)]];
    }),
  );

  function valueWords([, , value, error, low, high]) {
    const digits =
      Math.abs(value) < 1 ? 4 : Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value))));
    const text =
      error === null ? said(value, digits) : `${said(value, digits)} ± ${said(error, digits)}`;
    return low === null ? text : `${text} (heads ${said(low, 2)} to ${said(high, 2)})`;
  }

  /* A layer's own value, or those of its block. */
  function ofLayer(points, n, layer) {
    const own = points.get(n);
    if (!own) return [];
    if (own.has(layer)) return [own.get(layer)];
    const { layers } = models[networks[n].model],
      block = layers[layer][2];
    return block < 0 ? [] : [...own.values()].filter((p) => layers[p[1]][2] === block);
  }

  function layerWords(points, n, layer) {
    if (n === null) return "–";
    const found = ofLayer(points, n, layer);
    return (
      found
        .map((p) => (p[1] === layer ? "" : `${layerName(n, p[1])}: `) + valueWords(p))
        .join("; ") || "–"
    );
  }

  function showDetails(a, rowLayer, b, columnLayer, words) {
    const sides = [
      [a, rowLayer],
      [b, columnLayer],
    ];
    const second = isPair
      ? (key, n, layer) => layerWords(pointsOf.get(key)[1], n, layer)
      : (key, n, layer) => layerWords(pointsOf.get(key)[0], networks[n].control, layer);
    const secondHead = isPair ? `, ${runs[1]}` : ", untrained";
    const firstHead = isPair ? `, ${runs[0]}` : "";
    const heads = sides.flatMap(([n, layer]) => {
      const name = `${networks[n].label}: ${layerName(n, layer)}`;
      return [name + firstHead, name + secondHead];
    });
    const rows = data.measures.map(({ key, title }) => [
      title,
      ...sides.flatMap(([n, layer]) => [
        layerWords(pointsOf.get(key)[0], n, layer),
        second(key, n, layer),
      ]),
    ]);
    const kept = rows.filter(([, ...cells]) => cells.some((text) => text !== "–"));
    const table = element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ...["Measured", ...heads].map((text) => element("th", { scope: "col", text })),
        ),
      ),
      element(
        "tbody",
        {},
        ...kept.map(([title, ...cells]) =>
          element(
            "tr",
            {},
            element("th", { scope: "row", text: title }),
            ...cells.map((text) => element("td", { text })),
          ),
        ),
      ),
    );
    details.replaceChildren(
      element("h3", { text: "These two layers" }),
      element("p", { text: words.join("; ") }),
      kept.length
        ? element(
            "div",
            {
              class: "scroll",
              role: "region",
              tabindex: "0",
              "aria-label": "what else was measured of these two layers",
            },
            table,
          )
        : element("p", { text: "Nothing else was measured of these layers." }),
      element("p", {
        class: "note",
        text:
          "± is the jackknife standard error over images. Where a layer was not measured itself, " +
          "what was measured in its block is named.",
      }),
    );
    details.hidden = false;
    const more = `${kept.length} other measurements of these layers are in the table below.`;
    liveMaps.textContent = `${words.join("; ")}. ${more}`;
  }

  // -- lines by depth --------------------------------------------------------------------------

  function linesOf(measure) {
    const found = [];
    const [own, others] = pointsOf.get(measure.key);
    for (const place of [...state.models].sort((x, y) => x - y)) {
      const n = findNetwork(place);
      if (n === null) continue;
      const add = (points, network, name, isDashed) => {
        const along = [...(points.get(network)?.values() ?? [])].sort((x, y) => x[1] - y[1]);
        if (along.length)
          found.push({
            network,
            name,
            isDashed,
            model: place,
            points: along.map((p) => ({
              x: models[place].layers[p[1]][3],
              y: p[2],
              error: p[3],
              p,
            })),
          });
      };
      add(own, n, isPair ? `${networks[n].label}, ${runs[0]}` : networks[n].label, false);
      if (isPair) add(others, n, `${networks[n].label}, ${runs[1]}`, true);
      else if (state.controls && networks[n].control !== null)
        add(own, networks[n].control, networks[networks[n].control].label, true);
    }
    return found;
  }

  function drawLines() {
    const measure = data.measures.find((each) => each.key === state.measure);
    const lines = linesOf(measure);
    about.textContent = measure.about;
    if (!lines.length)
      return element("p", {
        class: "explore-none",
        text: "None of these networks was measured so.",
      });
    const all = lines.flatMap((line) => line.points.map((point) => ({ ...point, line })));
    const ink = (model) => COLOURS[model % COLOURS.length];
    const shown = distinct(lines.map((line) => line.model));
    const width = Math.max(320, Math.min(900, charts.clientWidth || 640));
    const bars = all.filter((d) => d.error !== null);
    const marks = lines.map((line) =>
      Plot.lineY(line.points, {
        x: "x",
        y: "y",
        stroke: ink(line.model),
        strokeWidth: 1.8,
        strokeDasharray: line.isDashed ? "4,4" : null,
      }),
    );
    const plot = Plot.plot({
      width,
      height: 330,
      marginLeft: 52,
      marginBottom: 40,
      style: { fontSize: "12px", background: "none" },
      x: {
        domain: [-0.02, 1.02],
        label: "depth (0: first layer, 1: last)",
        labelArrow: "none",
        labelAnchor: "center",
        ticks: 5,
      },
      y: {
        label: measure.unit ? `${measure.title} (${measure.unit})` : measure.title,
        labelArrow: "none",
        grid: true,
        nice: true,
      },
      marks: [
        Plot.ruleX(bars, {
          x: "x",
          y1: (d) => d.y - 1.96 * d.error,
          y2: (d) => d.y + 1.96 * d.error,
          stroke: (d) => ink(d.line.model),
        }),
        ...marks,
        ...[false, true].map((isDashed) =>
          Plot.dot(
            all.filter((d) => d.line.isDashed === isDashed),
            {
              x: "x",
              y: "y",
              r: 3.2,
              stroke: (d) => ink(d.line.model),
              fill: (d) => (isDashed ? "var(--page)" : ink(d.line.model)),
            },
          ),
        ),
      ],
    });
    const key = element(
      "ul",
      { class: "explore-key" },
      ...shown.map((place) => {
        const swatch = element("span", { "aria-hidden": "true" });
        swatch.style.background = ink(place);
        return element("li", {}, swatch, models[place].label);
      }),
      ...(lines.some((line) => line.isDashed)
        ? [element("li", { text: `dashed: ${isPair ? runs[1] : "untrained controls"}` })]
        : []),
    );
    const x = plot.scale("x"),
      y = plot.scale("y");
    const spot = ([line, place]) => {
      const p = lines[line].points[place];
      return [x.apply(p.x), y.apply(p.y)];
    };
    const words = ([line, place]) => {
      const own = lines[line],
        { p } = own.points[place];
      const found = [
        `${own.name}: ${layerName(own.network, p[1])}`,
        `${measure.title} ${valueWords(p)}`,
      ];
      if (p[3] !== null)
        found.push(
          `95 % interval ${said(p[2] - 1.96 * p[3], 3)} to ${said(p[2] + 1.96 * p[3], 3)}`,
        );
      const control = networks[own.network].control;
      if (!isPair && control !== null)
        found.push(`untrained: ${layerWords(pointsOf.get(measure.key)[0], control, p[1])}`);
      return found;
    };
    const frame = asked(plot, `${measure.title} by depth, ${lines.length} lines`, liveLines, {
      find: (px, py) => {
        let best = null,
          least = 40 * 40;
        lines.forEach((line, i) =>
          line.points.forEach((_, j) => {
            const [sx, sy] = spot([i, j]),
              d = (sx - px) ** 2 + (sy - py) ** 2;
            if (d < least) {
              least = d;
              best = [i, j];
            }
          }),
        );
        return best;
      },
      place: (found) => {
        const [sx, sy] = spot(found);
        return [sx - 6, sy - 6, 12, 12];
      },
      move: (from, pressed) => {
        if (!from)
          return ["Home", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].includes(pressed)
            ? [0, 0]
            : null;
        let [i, j] = from;
        const step = {
          ArrowRight: [0, 1],
          ArrowLeft: [0, -1],
          ArrowUp: [-1, 0],
          ArrowDown: [1, 0],
          Home: [0, -1e6],
          End: [0, 1e6],
        }[pressed];
        if (!step) return null;
        i = Math.max(0, Math.min(lines.length - 1, i + step[0]));
        return [i, Math.max(0, Math.min(lines[i].points.length - 1, j + step[1]))];
      },
      lines: words,
    });
    return element("div", {}, key, frame);
  }

  // -- all of it -------------------------------------------------------------------------------

  const status = (id) =>
    element("p", { id, class: "explore-said", role: "status", "aria-live": "polite" });
  const liveMaps = status("explore-said-maps"),
    liveLines = status("explore-said-lines");
  const legend = element("div", { class: "explore-legend", "aria-hidden": "true" });
  const grid = element("div", { class: "explore-maps" });
  const details = element("div", { class: "explore-details", hidden: true });
  const about = element("p", { class: "note" });
  const charts = element("div", {});
  const keys = element("p", {
    id: "explore-keys",
    class: "note",
    text: isPair
      ? "Hover over a cell, or move to a map with Tab and between cells with the arrow keys, for " +
        "names and values. Click, or press Enter, for all else that was measured of the two layers."
      : "Hover over a cell, or move to a map with Tab and between cells with the arrow keys, for " +
        "names, value, standard error and untrained control. Click, " +
        "or press Enter, for all else that was " +
        "measured of the two layers.",
  });

  function drawMaps() {
    const chosen = [...state.models]
      .sort((x, y) => x - y)
      .map((place) => [place, findNetwork(place)]);
    const drawn = chosen.map(([place, n]) => {
      const o = n === null ? null : versus(n);
      if (n !== null && o !== null) return [n, o];
      return models[place].label;
    });
    if (isPair) bound = boundOf(drawn.filter((each) => Array.isArray(each)));
    const empty = (label) =>
      element(
        "figure",
        {},
        element("figcaption", { text: label }),
        element("p", { class: "explore-none", text: "There is no such network of it." }),
      );
    grid.replaceChildren(
      ...drawn.map((each) => (Array.isArray(each) ? mapOf(...each) : empty(each))),
    );
    if (!drawn.length)
      grid.replaceChildren(
        element("p", { class: "explore-none", text: "No network is chosen." }),
      );
    legend.replaceChildren(
      Plot.legend({
        color: colour(),
        width: 260,
        ticks: 5,
        style: { fontSize: "12px", background: "none" },
      }),
    );
  }

  /* The largest difference, rounded up: the colour scale of all maps. */
  function boundOf(pairs) {
    let most = 0.05;
    for (const [a, b] of pairs) {
      const cells = cellsOf(a, b, state.index, "all");
      if (!cells) continue;
      cells.rows.forEach((_, i) =>
        cells.columns.forEach((__, j) => {
          most = Math.max(most, Math.abs(cells.drawn(i, j)) || 0);
        }),
      );
    }
    return Math.ceil(most * 20) / 20;
  }

  function draw() {
    hideTip();
    if (maps.size) drawMaps();
    if (data.measures.length) charts.replaceChildren(drawLines());
  }

  app.append(form);
  if (maps.size) app.append(keys, legend, grid, liveMaps, details);
  if (data.measures.length) {
    const row = element(
      "div",
      { class: "explore-controls" },
      choice(
        "measure",
        "Measurement",
        data.measures.map(({ key, title }) => [key, title]),
      ),
    );
    if (!isPair)
      row.append(
        element(
          "label",
          { class: "explore-check" },
          element("input", {
            type: "checkbox",
            name: "controls",
            checked: true,
            onchange: (e) => {
              state.controls = e.target.checked;
              draw();
            },
          }),
          element("span", { text: "untrained controls too" }),
        ),
      );
    app.append(
      element(
        "details",
        { class: "fold", open: !maps.size, ontoggle: draw },
        element("summary", { text: "Other measurements, layer by layer" }),
        row,
        about,
        charts,
        liveLines,
      ),
    );
  }
  app.append(tip);
  app.hidden = false;
  draw();
})();
"""
