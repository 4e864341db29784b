// Without this the page shows its figures as pictures, and tables are neither sorted nor filtered.
addEventListener("DOMContentLoaded", () => {
  const config = {
    background: null, font: "system-ui, sans-serif", view: {stroke: null},
    axis: {labelColor: "#4a5568", titleColor: "#4a5568", gridColor: "#d5dae1", domainColor: "#b6bec9", ticks: false,
           labelFontSize: 11, titleFontSize: 12, titleFontWeight: 400},
    axisX: {grid: false}, legend: {labelFontSize: 11, titleFontSize: 11, symbolLimit: 50, labelLimit: 240},
  };

  function specification(facts, narrow) {
    const spec = JSON.parse(document.getElementById("spec-" + facts.kind).textContent);
    spec.data = {values: facts.rows};
    const {y, color} = spec.encoding;
    color.scale = {domain: Object.keys(facts.colours), range: Object.values(facts.colours)};
    if (facts.kind === "tradeoff") spec.layer[1].encoding.fill.scale = color.scale;
    // Above the axis, since beside it long words leave a low chart.
    spec.title = {text: facts.title, anchor: "start", frame: "group", fontSize: 12, fontWeight: 400, color: "#4a5568"};
    y.title = null;
    if (facts.domain) y.scale = {type: facts.log ? "log" : "linear", domain: facts.domain, nice: false};
    if (facts.across) spec.encoding.x.scale.domain = facts.across;
    if (facts.kind === "tradeoff" && narrow) {  // no room for labels
      spec.layer = [spec.layer[1], spec.layer[3]];
      color.legend = {title: null};
      spec.encoding.x.scale = {type: "log", padding: 10};
    }
    if (facts.kind === "training" && !facts.rows.some(row => row.lost)) spec.layer.pop();
    if (facts.others) spec.layer.push({
      data: {values: [{distance: facts.others}]}, mark: {type: "rule", strokeDash: [4, 3]},
      encoding: {x: null, color: {value: "#1b1f24"}, tooltip: null},
    });
    const flows = Object.keys(facts.colours), longest = Math.max(...flows.map(flow => flow.length));
    if (flows.length === 1) color.legend = null;
    if (facts.kind === "training" && flows.length === 1) spec.height = 260;
    if (narrow && facts.kind === "evaluations") spec.layer[0].encoding.strokeDash.legend.orient = "bottom";
    if (narrow && color.legend) {  // long names stand one above the other
      const columns = longest > 20 ? 1 : 2;
      color.legend = {...color.legend, orient: "bottom", columns, labelLimit: columns === 1 ? 320 : 150};
      spec.height += 16 * Math.ceil(flows.length / columns) + 20;
      if (facts.kind === "tradeoff") spec.layer[0].encoding.fill.legend = color.legend;
    }
    return spec;
  }

  function draw(place, facts, height = 0) {
    const spec = specification(facts, place.clientWidth < 480);
    spec.height = Math.max(spec.height, height);
    return vegaEmbed(place, spec, {actions: false, renderer: "svg", config, tooltip: {theme: "custom"}})
      .then(() => place.querySelector("svg")?.setAttribute("aria-hidden", "true"));
  }

  const facts = figure => JSON.parse(figure.querySelector("script").textContent);
  // The page can be read before what draws its charts is there.
  addEventListener("load", () => {
    if (!globalThis.vegaEmbed) return;
    // Charts far below are drawn when they come near.
    const near = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => {
      near.unobserve(entry.target);
      draw(entry.target.querySelector(".drawn"), facts(entry.target));
    }), {rootMargin: "600px"});
    document.querySelectorAll(".charts .chart").forEach(figure => near.observe(figure));
    const choice = document.getElementById("speed"), shown = document.getElementById("speed-chart");
    if (choice) {
      const show = () => {
        const source = document.getElementById("cost-" + choice.value);
        const beside = document.querySelector(".heat"), place = shown.querySelector(".drawn");
        const room = beside.getBoundingClientRect().bottom - place.getBoundingClientRect().top - 40;  // for the caption
        if (source) draw(place, facts(source), room);
      };
      choice.value = shown.dataset.first;
      choice.addEventListener("change", show);
      show();
    }
  });

  // What runs off the right edge fades out there, and a word says that it can be scrolled to.
  document.querySelectorAll(".scroll").forEach(box => {
    const hint = document.createElement("p");
    Object.assign(hint, {className: "hint", textContent: "scroll for more columns →", ariaHidden: "true"});
    box.after(hint);
    const mark = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 4);
    box.addEventListener("scroll", mark, {passive: true});
    new ResizeObserver(mark).observe(box);
  });

  document.querySelectorAll("table.main").forEach(table => {
    const tools = document.createElement("p"), filter = document.createElement("input"), column = document.createElement("select");
    const label = (text, control) => Object.assign(document.createElement("label"), {textContent: text}).appendChild(control).parentNode;
    filter.type = "search";
    const none = document.createElement("output");  // which screen readers say aloud
    filter.addEventListener("input", () => {
      const rows = [...table.tBodies[0].rows];
      rows.forEach(row => { row.hidden = !row.textContent.toLowerCase().includes(filter.value.toLowerCase()); });
      none.textContent = rows.every(row => row.hidden) ? "No flow matches." : "";
    });
    // A narrow screen shows the flow, its score and one more column.
    const heads = [...table.tHead.rows[0].cells].slice(2);
    heads.forEach((head, i) => column.add(new Option(head.textContent, i + 2)));
    const choose = () => [...table.rows].forEach(row => [...row.cells].forEach((cell, i) => {
      cell.classList.toggle("chosen", i === Number(column.value));
    }));
    column.addEventListener("change", choose);
    choose();
    tools.className = "tools";
    tools.append(label("Filter ", filter), label("Column ", column));
    tools.lastChild.className = "narrow";
    tools.append(none);
    table.parentNode.before(tools);
  });

  // A link to what lies within a folded part opens it, in every browser.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
});
