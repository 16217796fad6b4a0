// Where this phone is and which way it points, and the way from here to there.

const FRESH_MS = 15000;
const EARTH_M = 6371000;
const radians = (degrees) => (degrees * Math.PI) / 180;
let watch, latest, heading;
const listeners = new Set();
const changed = () => { for (const one of listeners) one(); };

export function onMove(listener) { listeners.add(listener); start(); return () => listeners.delete(listener); }
export const position = () => (latest && Date.now() - latest.at < FRESH_MS ? latest.position : null);
export const bearingOfPhone = () => heading;

function take(given) {
  const { latitude, longitude, accuracy } = given.coords;
  latest = { at: Date.now(), position: { latitude, longitude, accuracy_m: Math.min(100000, Math.round(accuracy * 10) / 10) } };
  changed();
}

// In a frame of the simulated town, which the server names only where one runs, the town says where this phone is: a desktop
// does not stand beside its cars. Nobody else is heard, and without that name nobody at all.
const town = document.querySelector('meta[name="framed-by"]')?.content;
const isInTown = Boolean(town) && window.parent !== window;
const askTown = () => window.parent.postMessage("where am I?", town);
if (isInTown) {
  addEventListener("message", ({ origin, source, data }) => {
    if (origin === town && source === window.parent && data?.coords) take(data);
  });
  askTown();
  setInterval(askTown, 5000);
}

function start() {
  if (isInTown || watch !== undefined || !navigator.geolocation) return;
  watch = navigator.geolocation.watchPosition(take, () => {}, { enableHighAccuracy: true, maximumAge: 5000 });
}

// A position that is fresh, or null where this phone has none within some seconds.
export async function findPosition(timeout_ms = 8000) {
  start();
  if (position()) return position();
  if (isInTown) {
    askTown();
    return new Promise((resolve) => {
      const told = onMove(() => { told(); resolve(position()); });
      setTimeout(() => { told(); resolve(position()); }, timeout_ms);
    });
  }
  if (!navigator.geolocation) return null;
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition((given) => { take(given); resolve(position()); }, () => resolve(null),
      { enableHighAccuracy: true, timeout: timeout_ms, maximumAge: 5000 });
  });
}

// ---- the compass -------------------------------------------------------------------------------------------------

export const hasCompass = () => "DeviceOrientationEvent" in window;
let isTurning = false;
export const isCompassOn = () => isTurning;

export async function useCompass() {
  if (isTurning) return;
  if (DeviceOrientationEvent.requestPermission && (await DeviceOrientationEvent.requestPermission()) !== "granted") return;
  isTurning = true;
  const turn = (event) => {
    if (event.webkitCompassHeading !== undefined) heading = event.webkitCompassHeading;
    else if (event.absolute && event.alpha !== null) heading = 360 - event.alpha;
    else return;
    changed();
  };
  addEventListener("deviceorientationabsolute", turn);
  addEventListener("deviceorientation", turn);
}

// ---- the way -----------------------------------------------------------------------------------------------------

export function metresBetween(here, there) {
  const [a, b] = [radians(here.latitude), radians(there.latitude)];
  const half = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(radians(there.longitude - here.longitude) / 2) ** 2;
  return 2 * EARTH_M * Math.asin(Math.sqrt(half));
}

export function bearing(here, there) { // degrees from north, clockwise
  const [a, b, east] = [radians(here.latitude), radians(there.latitude), radians(there.longitude - here.longitude)];
  const y = Math.sin(east) * Math.cos(b);
  const x = Math.cos(a) * Math.sin(b) - Math.sin(a) * Math.cos(b) * Math.cos(east);
  return (Math.atan2(y, x) * 180 / Math.PI + 360) % 360;
}

// ---- the map: no streets, only you, the place and how sure both are ----------------------------------------------

const address = (name) => document.querySelector(`meta[name="${name}"]`).content;
let loading;
function loadMap() {
  loading ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address("map-style") });
    const script = Object.assign(document.createElement("script"), { src: address("map-script"), onload: resolve, onerror: reject });
    document.head.append(style, script);
  });
  return loading;
}

export async function drawMap(element, there, name) {
  await loadMap();
  const L = window.L;
  element.hidden = false;
  const map = L.map(element, { attributionControl: false, zoomControl: false, preferCanvas: true, zoomSnap: 0.25 });
  const at = (point) => [point.latitude, point.longitude];
  L.control.scale({ imperial: document.documentElement.lang === "en", metric: document.documentElement.lang !== "en" }).addTo(map);
  L.circleMarker(at(there), { radius: 12, color: "#0b5d4e", fillOpacity: 0.9 }).addTo(map).bindTooltip(name, { permanent: true });
  const mine = L.circle(at(there), { radius: 1, color: "#0a4fd0", weight: 1 }).addTo(map);
  const dot = L.circleMarker(at(there), { radius: 8, color: "#0a4fd0", fillOpacity: 1 }).addTo(map);
  const draw = () => {
    const here = position();
    if (!here) return;
    mine.setLatLng(at(here)).setRadius(here.accuracy_m);
    dot.setLatLng(at(here));
    map.fitBounds(L.latLngBounds([at(here), at(there)]).pad(0.3), { maxZoom: 19, animate: false });
  };
  map.setView(at(there), 17);
  draw();
  return onMove(draw);
}
