// The console's map and charts.

import { load, plain } from "./drawing.js";
import { connected, csrf } from "./unlatch.js";

// ---- the map: rings and dots, no streets ------------------------------------------------------------------------------

const EVERY_MS = 2000;
const holder = document.getElementById("console-map");
async function ask() {
  const answer = await fetch(holder.dataset.points, {
    method: "POST", cache: "no-store",
    headers: { "content-type": "application/x-www-form-urlencoded", "x-unlatch-csrf": csrf() },
    body: new URLSearchParams({ visit: holder.dataset.visit }),
  });
  if (answer.redirected) { location.href = answer.url; throw new Error("elsewhere"); }
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function row({ id, text, tone, seen }) {
  const link = Object.assign(document.createElement("a"), { href: `/console/visits/${id}`, className: "row", textContent: text });
  const when = Object.assign(document.createElement("span"), { className: "quiet small", textContent: seen });
  if (tone === "bad") link.classList.add("note-bad");
  link.append(" ", when);
  const made = document.createElement("li");
  made.append(link);
  return made;
}

async function showMap() {
  await load("map");
  const L = window.L;
  document.getElementById("map-ask").hidden = true;
  holder.hidden = false;
  const map = L.map(holder, { attributionControl: false, zoomControl: false, preferCanvas: true, zoomSnap: 0.25 }).setView([0, 0], 2);
  L.control.scale().addTo(map);
  const layer = L.layerGroup().addTo(map);
  let fitted = "";
  const draw = (points) => {
    layer.clearLayers();
    for (const point of points) {
      const ink = plain({ bad: "bad", good: "brand", quiet: "quiet" }[point.tone]);
      const ring = point.range_m ? L.circle(point.place, { radius: point.range_m, color: ink, weight: 1, fillOpacity: 0.05 })
        : L.circleMarker(point.place, { radius: 10, color: ink, weight: 2, fillOpacity: 0.1 });
      const dot = L.circleMarker(point.car ?? point.place, { radius: point.tone === "bad" ? 10 : 7, color: ink, fillOpacity: 0.9 });
      for (const one of [ring, dot]) one.addTo(layer).bindTooltip(point.text).on("click", () => { location.href = `/console/visits/${point.id}`; });
    }
    const ids = points.map((one) => one.id).sort().join();
    if (points.length && ids !== fitted) {
      const reaches = points.map((one) => L.latLng(one.place).toBounds(2 * (one.range_m ?? 0)).extend(one.car ?? one.place));
      map.fitBounds(reaches.reduce((all, one) => all.extend(one), L.latLngBounds([])).pad(0.1), { maxZoom: 17, animate: false });
    }
    fitted = ids;
    document.getElementById("map-none").hidden = points.length > 0;
    document.getElementById("map-legend").hidden = false;
    const list = document.getElementById("map-list");
    const focused = list.contains(document.activeElement) && document.activeElement.getAttribute("href");
    list.hidden = points.length === 0;
    list.replaceChildren(...points.map(row));
    if (focused) list.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    holder.dataset.shown = points.length;
  };
  for (;;) {
    if (!document.hidden) await ask().then((points) => { connected(true); draw(points); }, () => connected(false));
    await new Promise((go) => setTimeout(go, EVERY_MS));
  }
}
document.getElementById("map-show")?.addEventListener("click", showMap, { once: true });

// ---- charts -----------------------------------------------------------------------------------------------------------

const charts = [...document.querySelectorAll("[data-chart]")];
if (charts.length) {
  await load("chart");
  for (const one of charts) {
    const data = JSON.parse(one.dataset.chart);
    const keys = one.dataset.keys.split("|"), names = one.dataset.names.split("|"), unit = one.dataset.unit;
    const inks = [plain("brand"), plain("bad")];
    const axis = { stroke: plain("quiet"), grid: { stroke: plain("line"), width: 1 }, ticks: { stroke: plain("line") } };
    const chart = new window.uPlot({
      width: Math.max(260, one.clientWidth), height: 180,
      scales: { y: { range: (_, __, most) => [0, unit === "%" ? 100 : Math.max(1, (most ?? 1) * 1.1)] } },
      series: [{}, ...keys.map((_, at) => ({ label: `${names[at]} (${unit})`, stroke: inks[at], width: 2, points: { size: 7 } }))],
      axes: [axis, { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`) }],
    }, [data.hours, ...keys.map((key) => data[key])], one);
    new ResizeObserver(() => chart.setSize({ width: Math.max(260, one.clientWidth), height: 180 })).observe(one);
  }
}
