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

  function draw(holder) {
    if (holder.dataset.state) return;
    holder.dataset.state = "drawing";
    const data = document.querySelector(`script[data-of="${holder.dataset.figure}"]`).textContent;
    const figure = JSON.parse(data);
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
    document.querySelectorAll("main details").forEach((details) => { details.open = true; });
    if (plotlySource === null) return;
    runPlotly();
    holders.forEach(draw);
  }

  if (new URLSearchParams(location.search).get("draw") === "all") holders.forEach(drawWhenReady);
  else drawOnFirstSight();
  addEventListener("load", () => setTimeout(() => unpackPlotly().catch(() => {}), 500));
  addEventListener("beforeprint", prepareForPrint);
})();
