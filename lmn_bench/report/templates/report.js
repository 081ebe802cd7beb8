"use strict";
(() => {
  const { config, darkOf, charts } = JSON.parse(document.getElementById("charts").textContent);
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  // All in pixels: a letter, a symbol of a legend with its gaps, a plot too narrow for long words.
  const [LETTER, SYMBOL, NARROW] = [7, 34, 420];
  // Where names end lines they stand in one column; beside single marks there is more room.
  const [NAMES_SHARE, SCORES_SHARE] = [0.3, 0.42];
  const CASES_SHARE = 0.42;
  const views = new Map();

  // ------------------------------------------------------------------ charts
  const inDark = (value) => {
    if (Array.isArray(value)) return value.map(inDark);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === "datasets" ? v : inDark(v)]));
    }
    return typeof value === "string" && value in darkOf ? darkOf[value] : value;
  };

  const laws = document.getElementById("laws");
  const showsLaws = (plot) => charts[plot.dataset.chart].data[0].laws?.length > 0;
  const switchLaws = (plot) => views.get(plot)?.view.signal("laws", laws.checked).runAsync();
  laws?.addEventListener("change", () => {
    for (const plot of document.querySelectorAll(".plot")) if (showsLaws(plot)) switchLaws(plot);
  });

  const draw = async (plot) => {
    const { spec: shared, data } = charts[plot.dataset.chart];
    const spec = structuredClone({ ...shared, datasets: data[Number(plot.dataset.panel)] });
    for (const size of spec.datasets.size || []) spec.height = size.height;
    const width = plot.clientWidth;
    const names = (spec.datasets.names || []).map((row) => row.s.length);
    const longest = LETTER * Math.max(4, ...names);
    // A plot without room for names at the ends of its lines has them in its legend.
    const share = plot.closest("figure").classList.contains("scores") ? SCORES_SHARE : NAMES_SHARE;
    if (longest > share * width && names.length) spec.datasets.names = [];
    if (width < NARROW) for (const row of spec.datasets.stops || []) row.w = row.w && row.t;
    const dark = darkScheme.matches;
    const columns = Math.max(1, Math.floor((width - 60) / (longest + SYMBOL)));
    const looks = { ...config, legend: { ...config.legend, columns } };
    // Names of cases may take so much of a narrow plot; hovering tells them whole.
    if (plot.closest("figure").classList.contains("forest")) {
      looks.axisY = { labelLimit: Math.max(90, Math.min(320, CASES_SHARE * width)) };
    }
    const options = {
      mode: "vega-lite",
      renderer: "svg",
      config: dark ? inDark(looks) : looks,
      actions: plot.closest("figure").classList.contains("stack")
        ? false
        : { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
      downloadFileName: plot.dataset.chart,
    };
    try {
      const found = await vegaEmbed(plot, dark ? inDark(spec) : spec, options);
      views.get(plot)?.finalize();
      views.set(plot, found);
      plot.dataset.scheme = dark ? "dark" : "light";
      if (showsLaws(plot) && !laws.checked) switchLaws(plot);
    } catch (error) {
      plot.textContent = "This chart could not be drawn; the table below has its numbers.";
      console.error(plot.dataset.chart, error);
    }
  };

  let drawing = Promise.resolve();
  const drawAll = () => {
    for (const plot of document.querySelectorAll(".plot")) drawing = drawing.then(() => draw(plot));
    drawing.then(() => { document.documentElement.dataset.drawn = String(views.size); });
  };
  drawAll();
  darkScheme.addEventListener("change", drawAll);
  let [before, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      // Plots follow their width by themselves; legends and names at line ends don't.
      if (Math.abs(innerWidth - before) > 60) { before = innerWidth; drawAll(); }
    }, 300);
  });

  for (const button of document.querySelectorAll("button[data-part]")) {
    button.addEventListener("click", () => {
      const figure = button.closest("figure");
      const pressed = button.getAttribute("aria-pressed") !== "true";
      for (const other of figure.querySelectorAll("button[data-part]")) {
        other.setAttribute("aria-pressed", String(other === button && pressed));
      }
      for (const plot of figure.querySelectorAll(".plot")) {
        views.get(plot)?.view.signal("part", pressed ? button.dataset.part : "").runAsync();
      }
    });
  }

  // ------------------------------------------------------------------ tables
  const sortKey = (row, column) => {
    const cell = row.cells[column];
    return "v" in cell.dataset ? Number(cell.dataset.v) : null;
  };
  const sortBy = (table, column, ascending) => {
    const sign = ascending ? 1 : -1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [sortKey(a, column), sortKey(b, column)];
      if (x !== null && y !== null) return sign * (x - y);
      if (x !== null || y !== null) return x === null ? 1 : -1; // what has no number comes last
      return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    });
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("main table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const ascending = head.getAttribute("aria-sort") !== "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sortBy(table, column, ascending);
      });
    });
  }

  // ------------------------------------------------------------------ downloads, printing
  // The links work without this, as .gz files; where the browser can unpack them, they come plain.
  for (const link of document.querySelectorAll("a[data-plain]")) {
    if (!("DecompressionStream" in window)) break;
    link.download = link.dataset.plain;
    link.addEventListener("click", async (event) => {
      if (link.href.startsWith("blob:")) return;
      event.preventDefault();
      const packed = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const blob = await new Response(stream).blob();
      link.href = URL.createObjectURL(new Blob([blob], { type: link.dataset.type }));
      link.click();
    });
  }
  addEventListener("beforeprint", () => {
    for (const closed of document.querySelectorAll("main details:not([open])")) closed.open = true;
  });
})();
