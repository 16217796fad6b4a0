// The areas of a coverage file (GeoJSON, RFC 7946) on a map: shown as the text has them, drawn and taken away.
// The text is the truth: what is drawn is written into it, and what is typed there is shown.

import { load, plain } from "./drawing.js";

const editor = document.querySelector("[data-areas]"), text = editor.querySelector("textarea[name=text]");
const part = (name) => editor.querySelector(`[data-part="${name}"]`);
const DIGITS = 5; // of a degree: about a metre
const SOON_MS = 300;

function read() {
  if (!text.value.trim()) return { type: "FeatureCollection", features: [] };
  const found = JSON.parse(text.value);
  if (!Array.isArray(found.features)) throw new TypeError("no features");
  return found;
}

// An area a line, so that what has changed is read line by line.
function write({ features, ...rest }) {
  const head = JSON.stringify({ ...rest, features: [] }).slice(0, -2);
  text.value = `${head}\n${features.map((one) => JSON.stringify(one)).join(",\n")}\n]}\n`;
}

await load("map");
const L = window.L;
const map = L.map(part("map"), { attributionControl: false, preferCanvas: true, zoomSnap: 0.25, doubleClickZoom: false }).setView([0, 0], 2);
L.control.scale().addTo(map);
const areas = L.layerGroup().addTo(map), sketch = L.layerGroup().addTo(map);
const inks = { area: plain("brand"), chosen: plain("bad"), sketch: plain("ink") };
let corners = null, chosen = null, isFitted = false;

function show() {
  let found;
  try {
    found = read();
    areas.clearLayers();
    L.geoJSON({ type: "FeatureCollection", features: found.features }, {
      style: ({ properties }) => ({ color: properties?.name === chosen ? inks.chosen : inks.area, weight: 2, fillOpacity: 0.15 }),
      onEachFeature: ({ properties }, layer) => {
        layer.bindTooltip(Object.assign(document.createElement("span"), { textContent: properties?.name ?? "?" }), { sticky: true });
        layer.on("click", () => { if (!corners) { chosen = properties?.name ?? null; show(); } });
      },
    }).addTo(areas);
  } catch {
    found = null;
  }
  part("wrong").hidden = found !== null;
  for (const name of ["draw", "remove"]) part(name).disabled = found === null;
  if (!found) return;
  if (!found.features.some((one) => one.properties?.name === chosen)) chosen = null;
  part("remove").hidden = chosen === null || corners !== null;
  part("chosen").textContent = chosen ?? "";
  part("map").dataset.shown = found.features.length;
  const reach = L.featureGroup(areas.getLayers()).getBounds();
  if (!isFitted && reach.isValid()) { map.fitBounds(reach.pad(0.05), { animate: false }); isFitted = true; }
}

function draw() {
  sketch.clearLayers();
  const isDrawing = corners !== null;
  part("draw").hidden = isDrawing;
  for (const name of ["drawing", "back", "end", "close"]) part(name).hidden = !isDrawing;
  part("close").disabled = !isDrawing || corners.length < 3;
  part("back").disabled = !isDrawing || corners.length === 0;
  part("map").dataset.corners = isDrawing ? corners.length : "";
  map.getContainer().style.cursor = isDrawing ? "crosshair" : "";
  if (isDrawing && corners.length) {
    L.polygon(corners, { color: inks.sketch, weight: 2, dashArray: "4", fillOpacity: 0.05, interactive: false }).addTo(sketch);
    for (const corner of corners) L.circleMarker(corner, { radius: 4, color: inks.sketch, interactive: false }).addTo(sketch);
  }
  show();
}

// RFC 7946, 3.1.6: the outer ring turns against the clock, and ends where it began.
function ringOf(points) {
  const ring = points.map(({ lng, lat }) => [Number(lng.toFixed(DIGITS)), Number(lat.toFixed(DIGITS))]);
  const turned = ring.reduce((sum, [x, y], at) => {
    const [nextX, nextY] = ring[(at + 1) % ring.length];
    return sum + (nextX - x) * (nextY + y);
  }, 0);
  if (turned > 0) ring.reverse();
  return [...ring, ring[0]];
}

function close() {
  const found = read(), name = part("name"), country = part("country");
  if (![name, country].every((one) => one.reportValidity())) return;
  if (found.features.some((one) => one.properties?.name === name.value.trim())) {
    name.setCustomValidity(name.dataset.taken);
    name.reportValidity();
    return;
  }
  const properties = { name: name.value.trim(), country: country.value, is_confirmed: true, source: part("source").value };
  found.features.push({ type: "Feature", properties, geometry: { type: "Polygon", coordinates: [ringOf(corners)] } });
  write(found);
  [corners, chosen, name.value] = [null, properties.name, ""];
  draw();
}

map.on("click", ({ latlng }) => { if (corners) { corners.push(latlng.wrap()); draw(); } });
map.on("mousemove", ({ latlng }) => { part("at").textContent = `${latlng.lat.toFixed(4)}, ${latlng.wrap().lng.toFixed(4)}`; });
part("draw").addEventListener("click", () => { corners = []; draw(); part("name").focus(); });
part("back").addEventListener("click", () => { corners.pop(); draw(); });
part("end").addEventListener("click", () => { corners = null; draw(); part("draw").focus(); });
part("close").addEventListener("click", close);
part("name").addEventListener("input", () => part("name").setCustomValidity(""));
part("remove").addEventListener("click", () => {
  const found = read();
  write({ ...found, features: found.features.filter((one) => one.properties?.name !== chosen) });
  show();
});
let waiting;
text.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, SOON_MS); });
draw();
