// Draws the charts of the report from the JSON beside each figure. Without it the page shows the static pictures.
"use strict";
(() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const WIDTH = 340, HEIGHT = 220, LEFT = 52, RIGHT = 10, TOP = 24, BOTTOM = 24;

  const svg = (tag, attributes, parent) => {
    const node = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (parent) parent.append(node);
    return node;
  };
  const shown = value => Math.abs(value) >= 1e6 ? value / 1e6 + "M" : Math.abs(value) >= 1e4 ? value / 1e3 + "k" : value;
  const text = value => value === null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "−");

  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(n => n * power).find(size => size >= raw);
    const values = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) values.push(+(n * step).toPrecision(6));
    return values;
  }

  // The range of y over the visible lines; what lies below the panel's floor is cut off.
  function range(panel, hidden) {
    const values = panel.series.filter(s => !hidden.has(s.name)).flatMap(s => [...s.y, ...(s.low || []), ...(s.high || [])]);
    const known = values.filter(value => value !== null);
    if (!known.length) return [0, 1];
    let low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
    if (panel.floor !== null && low < panel.floor) low = panel.floor;
    const margin = 0.05 * (high - low || 1);
    return [low - margin, high + margin];
  }

  // Pieces of a line between its gaps.
  function path(xs, ys, x, y) {
    let d = "", pen = "M";
    xs.forEach((value, place) => {
      if (ys[place] === null) { pen = "M"; return; }
      d += pen + x(value).toFixed(1) + " " + y(ys[place]).toFixed(1);
      pen = "L";
    });
    return d;
  }

  function band(s, x, y) {
    const there = s.x.map((_, place) => place).filter(place => s.low[place] !== null && s.high[place] !== null);
    const above = there.map(place => x(s.x[place]).toFixed(1) + " " + y(s.high[place]).toFixed(1));
    const below = there.reverse().map(place => x(s.x[place]).toFixed(1) + " " + y(s.low[place]).toFixed(1));
    return above.length ? "M" + [...above, ...below].join("L") + "Z" : "";
  }

  function drawPanel(panel, place, chart, hidden, tip, parent) {
    const end = Math.max(...panel.series.flatMap(s => s.x), chart.kind === "points" ? 1 : 0);
    const rows = panel.series.length, points = chart.kind === "points";
    const height = points ? TOP + BOTTOM + 22 * rows : HEIGHT, left = points ? 190 : LEFT;
    const width = points ? 640 : WIDTH;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": panel.title }, parent);
    const visible = panel.series.filter(s => !hidden.has(s.name));
    svg("text", { x: left, y: 14, "font-weight": "bold" }, root).textContent = panel.title;
    const clip = `clip-${chart.name}-${place}`;
    svg("rect", { x: left, y: TOP, width: width - left - RIGHT, height: height - TOP - BOTTOM },
      svg("clipPath", { id: clip }, root));
    const along = (low, high) => value => left + (value - low) / (high - low) * (width - left - RIGHT);
    if (points) drawPoints(root, panel, visible, along, { width, height, left }, tip);
    else drawCurves(root, panel, visible, along(0, end), end, hidden, clip, tip);
  }

  function drawCurves(root, panel, visible, x, end, hidden, clip, tip) {
    const [low, high] = range(panel, hidden);
    const y = value => HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    for (const value of ticks(low, high, 4)) {
      svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }, root);
      svg("text", { x: LEFT - 4, y: y(value) + 3, "text-anchor": "end", class: "tick" }, root).textContent = shown(value);
    }
    for (const value of ticks(0, end, 4)) {
      svg("text", { x: x(value), y: HEIGHT - 8, "text-anchor": "middle", class: "tick" }, root).textContent = shown(value);
    }
    const lines = svg("g", { "clip-path": `url(#${clip})`, fill: "none" }, root);
    for (const s of visible) {
      if (s.low) svg("path", { d: band(s, x, y), fill: s.colour, "fill-opacity": 0.15 }, lines);
      svg("path", { d: path(s.x, s.y, x, y), stroke: s.colour, "stroke-width": s.paper ? 1.2 : 1.8,
        "stroke-dasharray": s.dashes, "data-series": s.name }, lines);
    }
    const cursor = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" }, root);
    root.addEventListener("pointermove", event => {
      const box = root.getBoundingClientRect();
      const step = ((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * end;
      if (step < 0 || step > end) return;
      cursor.setAttribute("x1", x(step)); cursor.setAttribute("x2", x(step)); cursor.setAttribute("visibility", "visible");
      const nearest = s => s.x.reduce((best, value, at) => Math.abs(value - step) < Math.abs(s.x[best] - step) ? at : best, 0);
      const told = visible.map(s => [s, nearest(s)]).filter(([s, at]) => s.y[at] !== null && step > s.x[0] - end / 20 && step < s.x.at(-1) + end / 20);
      told.sort(([a, at], [b, other]) => b.y[other] - a.y[at]);
      tip.tell(event, `${panel.title}, step ${Math.round(step).toLocaleString("en")}`, told.map(([s, at]) =>
        [s.colour, `${s.label}: ${text(s.y[at])}` + (s.low && s.low[at] !== null ? ` (${text(s.low[at])} to ${text(s.high[at])})` : "")]));
    });
    root.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); tip.hide(); });
  }

  // A row for each series: our value with its interval, and the paper's as a diamond.
  function drawPoints(root, panel, visible, along, { width, height, left }, tip) {
    const values = visible.flatMap(s => [s.value, s.bounds && s.bounds[0], s.paper_value]).filter(v => v !== null && v !== undefined);
    const x = along(Math.min(0, ...values) - 0.05, Math.max(1, ...values) + 0.05);
    for (const value of ticks(Math.min(0, ...values), Math.max(1, ...values), 6)) {
      svg("line", { x1: x(value), x2: x(value), y1: TOP, y2: height - BOTTOM, class: "grid" }, root);
      svg("text", { x: x(value), y: height - 8, "text-anchor": "middle", class: "tick" }, root).textContent = value;
    }
    visible.forEach((s, row) => {
      const y = TOP + 11 + 22 * row, group = svg("g", { "data-series": s.name }, root);
      svg("rect", { x: 0, y: y - 11, width, height: 22, fill: "transparent" }, group);
      svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, group).textContent = s.label;
      if (s.bounds) svg("line", { x1: x(s.bounds[0]), x2: x(s.bounds[1]), y1: y, y2: y, stroke: s.colour, "stroke-width": 3 }, group);
      if (s.value !== null) svg("circle", { cx: x(s.value), cy: y, r: 5, fill: s.colour }, group);
      if (s.paper_value !== null) {
        const at = x(s.paper_value);
        svg("path", { d: `M${at - 5} ${y}L${at} ${y - 5}L${at + 5} ${y}L${at} ${y + 5}Z`, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }, group);
      }
      const told = [[s.colour, `ours: ${text(s.value)}` + (s.bounds ? ` [${text(s.bounds[0])}, ${text(s.bounds[1])}]` : "")]];
      told.push(["currentColor", `paper: ${text(s.paper_value)}`]);
      group.addEventListener("pointermove", event => tip.tell(event, s.label, told));
      group.addEventListener("pointerleave", () => tip.hide());
    });
  }

  function makeTip() {
    const node = document.createElement("div");
    node.className = "tip"; node.hidden = true; node.setAttribute("role", "status");
    document.body.append(node);
    return {
      hide: () => { node.hidden = true; },
      tell: (event, title, lines) => {
        node.replaceChildren(...[["inherit", title], ...lines].map(([colour, words]) => {
          const line = document.createElement("div");
          line.textContent = words; line.style.color = colour;
          return line;
        }));
        node.hidden = false;
        const box = node.getBoundingClientRect();
        node.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 6)) + "px";
        node.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 6)) + "px";
      },
    };
  }

  function draw(source, tip) {
    const chart = JSON.parse(source.textContent), figure = source.closest("figure"), hidden = new Set(chart.hidden);
    const legend = document.createElement("div"), panels = document.createElement("div");
    legend.className = "legend"; panels.className = "panels";
    if (chart.kind === "points") panels.classList.add("points");
    const again = () => {
      panels.replaceChildren();
      chart.panels.forEach((panel, place) => drawPanel(panel, place, chart, hidden, tip, panels));
    };
    const every = new Map(chart.panels.flatMap(panel => panel.series.map(s => [s.name, s])));
    for (const [name, s] of every) {
      const button = document.createElement("button");
      button.type = "button"; button.dataset.series = name; button.setAttribute("aria-pressed", String(!hidden.has(name)));
      const line = svg("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, button);
      svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: s.colour, "stroke-width": s.paper ? 1.5 : 3, "stroke-dasharray": s.dashes }, line);
      button.append(s.label);
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.setAttribute("aria-pressed", String(!hidden.has(name)));
        again();
      });
      legend.append(button);
    }
    again();
    source.after(legend, panels);
    figure.classList.add("drawn");
  }

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
  const tip = makeTip();
  for (const source of document.querySelectorAll('script[type="application/json"]')) draw(source, tip);
})();
