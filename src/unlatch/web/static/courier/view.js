// Screens are templates that the server has rendered in this phone's language; here they are filled in.

const language = document.documentElement.lang;
const locale = language === "fr" ? "fr-FR" : "en-US";
const texts = Object.fromEntries(
  [...document.getElementById("texts").content.querySelectorAll("[data-text]")].map((one) => [one.dataset.text, one.textContent]),
);

export function text(name, values = {}) {
  return (texts[name] ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

const clockTime = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const exactTime = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });
export const time = (at) => clockTime.format(new Date(at));
export const timeToSecond = (at) => exactTime.format(new Date(at));

const count = (value, unit, digits = 0) =>
  new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: digits }).format(value);

export function distance(metres) { // as Speech.distance of the server says it
  if (language === "en") {
    const feet = metres / 0.3048;
    return feet < 1000 ? count(Math.round(feet / 10) * 10, "foot") : count(feet / 5280, "mile", 1);
  }
  return metres < 1000 ? count(Math.round(metres / 10) * 10, "meter") : count(metres / 1000, "kilometer", 1);
}

export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return count(seconds, "second");
  return seconds < 3600 ? count(Math.round(seconds / 60), "minute") : count(seconds / 3600, "hour", 1);
}

export function countdown(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const screen = document.getElementById("screen");
export const part = (name, within = screen) => within.querySelector(`[data-fill="${name}"], [data-list="${name}"], [data-part="${name}"]`);

// Fill what bears `data-fill`, hide what bears `data-if` and is not so, point `data-link` at the screens of this stop.
// What is not given stays as it is.
export function fill(within, { texts: said = {}, is = null, stopId = null } = {}) {
  for (const element of within.querySelectorAll("[data-fill]")) {
    if (element.dataset.fill in said) element.textContent = said[element.dataset.fill] ?? "";
  }
  if (is) for (const element of within.querySelectorAll("[data-if]")) element.hidden = !is[element.dataset.if];
  if (stopId) for (const element of within.querySelectorAll("[data-link]")) {
    const where = element.dataset.link;
    element.href = where === "stop" ? `#/stop/${stopId}` : `#/stop/${stopId}/${where}`;
  }
}

// Once all is drawn, what had the focus has it again; where that has gone, the screen's top has it: what comes next is there.
const main = document.getElementById("main");
const sameAs = (one) => JSON.stringify([one.localName, one.getAttribute("href"), one.name, { ...one.dataset }]);
function keepFocus(focused) {
  const wanted = sameAs(focused);
  queueMicrotask(() => {
    [...screen.querySelectorAll("a, button, input")].find((one) => sameAs(one) === wanted)?.focus();
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
  });
}

let shown = "";
export const isShown = (name, stopId) => shown === `${name} ${stopId ?? ""}`;
// Show a screen anew. The same screen keeps the focus where it was; another one takes it to its top.
export function show(name, given = {}) {
  const isSame = isShown(name, given.stopId);
  if (isSame && screen.contains(document.activeElement)) keepFocus(document.activeElement);
  screen.replaceChildren(document.getElementById(`screen-${name}`).content.cloneNode(true));
  fill(screen, { is: {}, ...given });
  if (!isSame) {
    if (shown) main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = `${name} ${given.stopId ?? ""}`;
  return screen;
}

export function row(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

export function button(action, label, { isQuiet = false, ...data } = {}) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `button button-big wide${isQuiet ? " button-quiet" : ""}`;
  made.textContent = label;
  Object.assign(made.dataset, { do: action, ...data });
  return made;
}

// `taken` hears of the photo even if another screen was drawn while the phone's camera was before the app.
export function photoButton(label, taken) {
  const made = document.createElement("label");
  made.className = "button button-big wide photo";
  const input = document.createElement("input");
  Object.assign(input, { type: "file", name: "photo", accept: "image/*", className: "visually-hidden" });
  input.setAttribute("capture", "environment");
  input.addEventListener("change", () => { if (input.files[0]) taken(input.files[0]); });
  made.append(label, input);
  return made;
}

export function showError(form, message) {
  const error = form.querySelector(".error");
  error.textContent = message;
  error.hidden = !message;
}

const told = document.getElementById("told");
export function announce(message) { if (told.textContent !== message) told.textContent = message; }
