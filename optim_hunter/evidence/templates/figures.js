"use strict";
(() => {
  const holders = [...document.querySelectorAll("[data-figure]")];
  let plotlySource = null;

  async function unpackPlotly() {
    if (plotlySource !== null) return;
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    plotlySource = await new Response(stream).text();
    document.documentElement.dataset.plotly = "unpacked";
  }

  function runPlotly() {
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = plotlySource;
    document.head.append(script);
  }

  function dataOf(holder) {
    return JSON.parse(document.querySelector(`script[data-of="${holder.dataset.figure}"]`).textContent);
  }

  // An attention row: the tokens of a prompt one after the other, each as dark as its share of the largest.
  function writeRow(holder, { tokens, weights }) {
    const largest = Math.max(...weights, Number.MIN_VALUE);
    const percent = (weight) => `${(100 * weight).toPrecision(2)} %`;
    holder.classList.add("row");
    holder.replaceChildren(...tokens.map((token, place) => {
      const span = document.createElement("span");
      span.textContent = token.replaceAll("\n", "↵") + (token.includes("\n\n") ? "\n" : "");
      span.title = percent(weights[place]);
      span.style.setProperty("--share", weights[place] / largest);
      return span;
    }));
    const most = [...weights.keys()].sort((first, second) => weights[second] - weights[first]).slice(0, 5);
    const said = document.createElement("p");
    said.textContent = "Most lies on " + most.map((place) =>
      `token ${place + 1}, “${tokens[place].trim()}” (${percent(weights[place])})`).join(", ") + ".";
    holder.append(said);
    holder.dataset.state = "drawn";
  }

  function draw(holder) {
    if (holder.dataset.state) return;
    holder.dataset.state = "drawing";
    const figure = dataOf(holder);
    const clear = "rgba(0,0,0,0)";
    const modebar = { bgcolor: clear, color: "#8a8f98", activecolor: "#3f7fbf" };
    const font = { family: getComputedStyle(holder).fontFamily, size: 12 };
    holder.textContent = "";
    window.Plotly.newPlot(holder, figure.data,
      { ...figure.layout, paper_bgcolor: clear, plot_bgcolor: clear, modebar, font },
      { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "resetScale2d"]] }).then(
      () => { holder.dataset.state = "drawn"; }, (error) => fail(holder, error));
  }

  function fail(holder, error) {
    holder.dataset.state = "failed";
    holder.textContent = "This figure could not be drawn (" + error + "); its data is in the source of this page.";
  }

  async function drawWhenReady(holder) {
    try {
      if (holder.dataset.kind === "row") {
        if (!holder.dataset.state) writeRow(holder, dataOf(holder));
        return;
      }
      await unpackPlotly();
      runPlotly();
      draw(holder);
    } catch (error) {
      fail(holder, error);
    }
  }

  function drawOnFirstSight() {
    const observer = new IntersectionObserver((sights) => {
      for (const { isIntersecting, target } of sights) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        drawWhenReady(target);
      }
    }, { rootMargin: "300px" });
    holders.forEach((holder) => observer.observe(holder));
  }

  function prepareForPrint() {
    document.querySelectorAll("main details:not(.seeds, .seeds *)").forEach((details) => { details.open = true; });
    const rows = holders.filter((holder) => holder.dataset.kind === "row");
    rows.forEach(drawWhenReady);
    if (plotlySource === null) return;
    runPlotly();
    holders.filter((holder) => !rows.includes(holder)).forEach(draw);
  }

  if (new URLSearchParams(location.search).get("draw") === "all") holders.forEach(drawWhenReady);
  else drawOnFirstSight();
  addEventListener("load", () => setTimeout(() => unpackPlotly().catch(() => {}), 500));
  addEventListener("beforeprint", prepareForPrint);
})();
