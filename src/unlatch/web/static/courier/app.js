// The courier's app: which screen is shown, and what each button does.

import * as clock from "./clock.js";
import { NoAnswer, Refusal, bus, connected, get, hasNetwork, post } from "./api.js";
import { emptyQueue, forget, read, write } from "./kept.js";
import { shrink } from "./photo.js";
import * as place from "./place.js";
import * as queue from "./queue.js";
import { choose, look } from "./scan.js";
import * as visits from "./visit.js";
import { announce, distance, fill, part, row, show, showError, span, text, time, timeToSecond } from "./view.js";

const STOPS_EVERY_MS = 15000;
const BEAT_MS = 1400; // so that a lost connection is shown within three seconds
const FIRST_LOOK_MS = 6000; // after which a picture of the label may be sent instead
const state = { me: null, stops: [], heard_ms: 0, isRevoked: false, located: null, located_id: "", notes: {}, scan: null };
let stopCamera, undo = [];

// ---- where we are ----------------------------------------------------------------------------------------------------

function here() {
  const [, kind, stopId, screen] = location.hash.replace(/^#/, "").split("/");
  return { kind: kind || "stops", stopId: stopId ?? "", screen: screen ?? "stop" };
}
const go = (hash) => { if (location.hash === hash) render(); else location.hash = hash; };
const findStop = (id) => state.stops.find((stop) => stop.id === id);

// News that come while a finger is down are drawn once it is up, or soon: no button goes away from under it.
const PRESS_MS = 1000;
let pressedUntil = 0, waitingNews;
function renderNews() {
  clearTimeout(waitingNews);
  waitingNews = undefined;
  const left = pressedUntil - performance.now();
  if (left > 0) waitingNews = setTimeout(renderNews, left); else render();
}
addEventListener("pointerdown", () => { pressedUntil = performance.now() + PRESS_MS; }, { capture: true });
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => {
  pressedUntil = 0;
  if (waitingNews) renderNews();
}), { capture: true });

function render() {
  stopCamera?.();
  stopCamera = undefined;
  for (const one of undo.splice(0)) one();
  if (!state.me) return showEnrol();
  const { kind, stopId, screen } = here();
  if (kind === "card") return showCard();
  if (kind !== "stop") return showStops();
  const told = visits.visit();
  if (screen === "visit" && told?.stop_id === stopId) return visits.render(stopId);
  const stop = findStop(stopId);
  if (!stop) return showStops();
  return (SCREENS[screen] ?? showStop)(stop);
}

// ---- enrolment ---------------------------------------------------------------------------------------------------------

function readCode(scanned) {
  const code = scanned.includes("#enrol=") ? decodeURIComponent(scanned.split("#enrol=")[1]) : scanned.trim();
  return /^([0-9A-Z]{5}[ -]?){4}$/i.test(code) ? code : null;
}

function showEnrol() {
  const screen = show("enrol", { is: { revoked: state.isRevoked } });
  const given = location.hash.startsWith("#enrol=") ? readCode(location.hash) : null;
  if (given) screen.querySelector("[name=code]").value = given;
}

async function enrol(form, given = form.elements.code?.value) {
  const code = readCode(given);
  if (!code) return showError(form, text("not_a_code"));
  await clock.ask().catch(() => {});
  state.me = await post("/v1/devices/enrol", { code }, { key: await keyFor(`enrol ${code}`) });
  state.isRevoked = false;
  await write("me", state.me);
  history.replaceState(null, "", "/courier#/");
  await renewStops();
  return render();
}

// The same request that is sent again bears the same key.
const keys = new Map();
async function keyFor(what) {
  if (!keys.has(what)) keys.set(what, crypto.randomUUID());
  return keys.get(what);
}

async function scanCode() {
  const made = show("scan");
  made.querySelector("form").dataset.form = "code";
  made.querySelector(".back").href = "#/";
  await startCamera(made, (symbols) => {
    const code = symbols.map(readCode).find(Boolean);
    if (!code) { fill(made, { texts: { scanning: text("not_a_code") } }); return false; }
    showEnrol();
    const form = document.querySelector("[data-form=enrol]");
    form.elements.code.value = code;
    attempt(form, () => enrol(form));
    return true;
  });
}

// ---- the round -----------------------------------------------------------------------------------------------------------

async function renewStops() {
  const stops = [];
  let next = null;
  do {
    const page = await get(`/v1/courier/stops${next ? `?cursor=${encodeURIComponent(next)}` : ""}`);
    stops.push(...page.stops);
    next = page.next;
  } while (next && stops.length < 500);
  const isNews = JSON.stringify(stops) !== JSON.stringify(state.stops);
  Object.assign(state, { stops, heard_ms: clock.now() });
  await write("stops", { stops, heard_ms: state.heard_ms });
  const { kind, screen } = here();
  if (state.me && (kind === "stops" || (kind === "stop" && screen === "stop" && isNews))) renderNews();
}

const windowOf = (stop) => text("from_until", { from: time(stop.window_from), until: time(stop.window_until) });
const heardOf = (at) => text("as_of", { time: timeToSecond(at), ago: span(clock.now() - at) });

function showStops() {
  const held = visits.isHeld() ? visits.visit() : null;
  show("stops", {
    texts: { heard: state.heard_ms ? heardOf(state.heard_ms) : "" },
    is: { held: Boolean(held), none: state.stops.length === 0 },
  });
  part("stops").hidden = state.stops.length === 0;
  part("stops").replaceChildren(...state.stops.map((stop) => {
    const made = row("row-stop");
    const isShut = held && held.stop_id !== stop.id;
    fill(made, { texts: { name: stop.consignee_name, window: windowOf(stop), advice: stop.advice_text, kind: text(stop.kind) } });
    if (isShut) made.setAttribute("aria-disabled", "true");
    else made.href = held ? `#/stop/${stop.id}/visit` : `#/stop/${stop.id}`;
    made.classList.toggle("is-done", stop.advice === "nothing_more");
    return made;
  }));
}

// ---- one stop --------------------------------------------------------------------------------------------------------------

function showStop(stop) {
  const told = visits.visit();
  if (told?.is_live && told.stop_id === stop.id) return go(`#/stop/${stop.id}/visit`);
  const isHere = stop.advice === "go_to_place";
  const found = state.located_id === stop.id ? state.located : null;
  const note = state.notes[stop.id] ?? {};
  show("stop", {
    stopId: stop.id,
    texts: { name: stop.consignee_name, window: windowOf(stop), advice: stop.advice_text, reason: stop.reason_text,
      turned_away: note.turned_away, not_located: note.not_located, looks: found && looksOf(found), plate: found?.plate,
      directions: found?.door?.directions,
      seen_at: found?.observed_at ? text("car_told", { time: timeToSecond(found.observed_at) }) : "" },
    is: { may_scan: isHere, may_take_up: stop.advice === "finish_visit",
      may_fall_back: ["take_fallback", "bring_back"].includes(stop.advice), may_set_out: isHere && !note.isSetOut && stop.stage !== "under_way",
      set_out: isHere && stop.kind === "car" && (note.isSetOut || stop.stage === "under_way"), may_locate: isHere,
      located: Boolean(found), plate: Boolean(found?.plate), quiet_hours: found?.door && !found.door.rings_first, way: false,
      being_read: Boolean(found?.is_being_read && !found.position), can_turn: Boolean(found?.position) && place.hasCompass() && !place.isCompassOn(),
      can_map: Boolean(found?.position), may_give_up: isHere },
  });
  part("labels").replaceChildren(...stop.labels.map((label) => Object.assign(document.createElement("li"), { textContent: label.split(":").pop() })));
  if (found?.picture_url?.startsWith("/")) Object.assign(part("picture"), { src: found.picture_url, hidden: false });
  if (found?.position) { undo.push(place.onMove(() => pointAt(found.position))); pointAt(found.position); }
  return undefined;
}

const looksOf = (found) => (found.door ? found.door.form_text : [found.colour, found.make, found.model].filter(Boolean).join(" "));

function pointAt(there) {
  const mine = place.position();
  const way = document.querySelector('[data-if="way"]');
  if (!way) return;
  way.hidden = !mine;
  if (!mine) return;
  const far = place.metresBetween(mine, there);
  const unsure = mine.accuracy_m + (there.accuracy_m ?? 0);
  part("distance").textContent = unsure > 20
    ? text("unsure", { distance: distance(far), accuracy: distance(unsure) }) : text("far", { distance: distance(far) });
  const turn = place.bearing(mine, there) - (place.bearingOfPhone() ?? 0);
  way.querySelector(".needle").style.transform = `rotate(${turn}deg)`;
}

async function locate(stop) {
  const position = await place.findPosition();
  if (!position) throw new Error(text("no_position"));
  state.notes[stop.id] = { ...state.notes[stop.id], not_located: "" };
  state.located = await post(`/v1/courier/stops/${stop.id}/locate`, { position });
  state.located_id = stop.id;
  render();
  if (state.located.is_being_read && !state.located.position) {
    setTimeout(() => { if (here().stopId === stop.id && here().screen === "stop") locate(stop).catch(() => {}); }, 4000);
  }
}

async function setOut(stop) {
  const told = await post(`/v1/courier/stops/${stop.id}/heading`, {}, { key: await keyFor(`heading ${stop.id}`) });
  const isGoing = told.advice === "go_to_place";
  state.notes[stop.id] = { ...state.notes[stop.id], isSetOut: isGoing, turned_away: isGoing ? "" : told.reasons.map((one) => one.text).join(" ") };
  await renewStops();
  render();
}

// ---- the scan --------------------------------------------------------------------------------------------------------------

async function startCamera(screen, found) {
  fill(screen, { texts: { scanning: text("looking") } });
  try {
    const stop = await look(screen.querySelector("video"), found);
    if (screen.querySelector("video")) stopCamera = stop; else stop();
  } catch {
    fill(screen, { texts: { scanning: text("no_camera") } });
    const finder = screen.querySelector(".viewfinder"); // gone, where the number was typed meanwhile
    if (finder) finder.hidden = true;
  }
}

function showScan(stop) {
  const screen = show("scan", { stopId: stop.id });
  let firstOther;
  setTimeout(() => { const other = screen.querySelector("[data-do=send_frame]"); if (other) other.hidden = false; }, FIRST_LOOK_MS);
  startCamera(screen, (symbols) => {
    firstOther ??= Date.now();
    const label = choose(symbols, stop.labels) ?? (Date.now() - firstOther > 1500 ? symbols[0] : null);
    if (!label) return false;
    navigator.vibrate?.(60);
    fill(screen, { texts: { scanning: text("found") } });
    const form = screen.querySelector("form");
    attempt(form, () => scan(stop, { label: { text: label } })).then((isDone) => { if (!isDone && here().screen === "scan") setTimeout(render, 4000); });
    return true;
  });
}

async function scan(stop, what) {
  const position = await place.findPosition();
  const body = { ...what, ...(position ? { position } : {}), phone_at: new Date(clock.now()).toISOString() };
  // An answer that was lost: the same request again, not another one.
  const same = JSON.stringify([stop.id, what]);
  if (state.scan?.same !== same) state.scan = { same, body, key: crypto.randomUUID() };
  try {
    await visits.take(await post(`/v1/courier/stops/${stop.id}/scan`, state.scan.body, { key: state.scan.key, timeout_ms: 20000 }));
  } catch (error) {
    if (error instanceof Refusal && !error.may_pass) state.scan = null;
    throw error;
  }
  state.scan = null;
  go(`#/stop/${stop.id}/visit`);
}

async function sendFrame(stop) {
  const video = document.querySelector("video");
  await scan(stop, { photo: await shrink(video) });
}

// ---- could not, unsafe, fallback, card ---------------------------------------------------------------------------------------

function showCouldNot(stop) {
  if (!visits.isHeld()) return go(`#/stop/${stop.id}`);
  const screen = show("could_not", { stopId: stop.id });
  const other = stop.kind === "car" ? ["door_not_found", "animal_loose"] : ["car_not_found"];
  for (const reason of other) screen.querySelector(`[data-reason=${reason}]`)?.remove();
  return undefined;
}

const showUnsafe = (stop) => show("unsafe", { stopId: stop.id, is: { visit: visits.isHeld(), no_visit: !visits.isHeld() } });

function showFallback(stop) {
  const screen = show("fallback", { stopId: stop.id, texts: { photo: "" } });
  stop.fallback_plan.forEach((step, at) => {
    const label = Object.assign(document.createElement("label"), { className: "check" });
    label.append(Object.assign(document.createElement("input"), { type: "radio", name: "done", value: step.fallback, checked: at === 0 }), step.text);
    screen.querySelector("fieldset").append(label);
  });
}

async function sayFallback(stop, form) {
  const done = form.elements.done.value;
  const told = form.elements.told.value.trim();
  if (!done) return showError(form, text("choose_step"));
  if (["neighbour", "pickup_point"].includes(done) && !told) { form.elements.told.focus(); return showError(form, text("needs_told")); }
  const plan = stop.fallback_plan.map((step) => step.fallback);
  const body = { done, told, could_not: plan.slice(0, plan.indexOf(done)) };
  const [photo] = form.elements.photo.files;
  if (photo) body.photo = await shrink(photo);
  await queue.say("fallback", `/v1/courier/stops/${stop.id}/fallback`, body, { is_dated: false });
  if (visits.visit() && !visits.isHeld()) await visits.leave();
  await renewStops().catch(() => {});
  return go("#/");
}

async function showCard() {
  const drawn = () => {
    const isGood = state.card && new Date(state.card.good_until) > clock.realNow();
    show("card", {
      texts: { who: text("i_am", { name: state.me.first_name, carrier: state.card?.carrier_name ?? "…" }),
        good_until: isGood ? text("good_until", { time: time(state.card.good_until) }) : "" },
      is: { good: isGood, offline: !isGood && !hasNetwork() },
    });
    if (isGood) Object.assign(part("qr"), { src: state.card.picture, hidden: false });
  };
  drawn();
  try { state.card = await get("/v1/courier/card"); } catch { /* shown as it is: not to be checked */ }
  if (here().kind === "card") drawn();
}

const SCREENS = { stop: showStop, scan: showScan, could_not: showCouldNot, unsafe: showUnsafe, fallback: showFallback };

// ---- what the buttons do -------------------------------------------------------------------------------------------------------

async function sayOfVisit(word, body = {}) {
  await queue.say(word, visits.path(word), body, { visit_id: visits.visit().id });
  if (visits.visit()) go(`#/stop/${visits.visit().stop_id}/visit`);
}

async function next() {
  await visits.leave();
  await renewStops().catch(() => {});
  go("#/");
}

const DEEDS = {
  scan_code: scanCode,
  renew: renewStops,
  close_refused: () => { document.getElementById("refused").hidden = true; },
  take_up: (stop) => scan(stop, { label: { text: stop.labels[0].split(":").pop() } }),
  set_out: setOut,
  locate,
  use_compass: async () => { await place.useCompass(); render(); },
  show_map: async (stop) => {
    document.querySelector("[data-do=show_map]").hidden = true;
    undo.push(await place.drawMap(document.querySelector(".map"), state.located.position, text(stop.kind)));
  },
  send_frame: sendFrame,
  say: (_, { word }) => sayOfVisit(word),
  could_not: (_, { reason }) => sayOfVisit("could_not", { reason }),
  scan_again: (stop) => go(`#/stop/${stop.id}/scan`),
  instead: (stop) => go(`#/stop/${stop.id}/fallback`),
  next,
  go_back: () => history.back(),
};
const FORMS = {
  enrol: (_, form) => enrol(form),
  code: (_, form) => enrol(form, form.elements.label.value),
  typed: (stop, form) => scan(stop, { label: { text: form.elements.label.value.trim() } }),
  fallback: sayFallback,
};

function explain(error) {
  if (error instanceof NoAnswer) return text("no_network");
  if (error instanceof Refusal) return error.message;
  return error.message || text("wrong");
}

// Do it, with its button shut meanwhile; what goes wrong is said beside it. Whether it went well.
// Not `disabled`: that takes the focus away from who has just pressed it with a key.
const isShut = (one) => one?.getAttribute("aria-disabled") === "true";
async function attempt(form, work) {
  const buttons = [...form.querySelectorAll("button")];
  for (const one of buttons) one.setAttribute("aria-disabled", "true");
  try {
    if (form.querySelector(".error")) showError(form, "");
    await work();
    return true;
  } catch (error) {
    if (form.isConnected && form.querySelector(".error")) showError(form, explain(error));
    else refuse(explain(error));
    return false;
  } finally {
    for (const one of buttons) one.removeAttribute("aria-disabled");
  }
}

function refuse(message) {
  const box = document.getElementById("refused");
  box.querySelector("p").textContent = message;
  box.hidden = false;
  announce(message);
}

const stopHere = () => findStop(here().stopId) ?? { id: here().stopId, labels: [], fallback_plan: [] };

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-do]");
  if (!pressed) return;
  event.preventDefault();
  if (isShut(pressed)) return;
  const box = pressed.closest("form, .card, .step, #screen > *, section") ?? document.body;
  attempt(box, () => DEEDS[pressed.dataset.do](stopHere(), pressed.dataset));
});

document.addEventListener("submit", (event) => {
  const name = event.target.dataset.form;
  if (!name) return;
  event.preventDefault();
  if (isShut(event.submitter)) return;
  attempt(event.target, () => FORMS[name](stopHere(), event.target));
});

document.addEventListener("change", (event) => {
  if (event.target.name !== "photo") return;
  if (event.target.closest("form") && event.target.files[0]) fill(document.getElementById("screen"), { texts: { photo: text("photo_taken") } });
});
bus.addEventListener("photo", ({ detail }) => {
  if (!visits.visit()) return;
  attempt(document.querySelector(".step") ?? document.body, async () => sayOfVisit("deposited", { photo: await shrink(detail) }));
});

// ---- what happens by itself ------------------------------------------------------------------------------------------------------

function showWaiting(entries) {
  const box = document.getElementById("waiting");
  box.hidden = entries.length === 0 || (hasNetwork() && entries.every((entry) => clock.now() - new Date(entry.said_at) < 3000));
  box.querySelector("ul").replaceChildren(...entries.map((entry) => Object.assign(document.createElement("li"), {
    textContent: text("said_at", { word: text(`act_${entry.word}`), time: timeToSecond(entry.said_at) }),
  })));
}

bus.addEventListener("connected", ({ detail }) => {
  document.getElementById("lost").hidden = detail;
  showWaiting(queue.list());
  if (detail) { queue.flush(); renewStops().catch(() => {}); }
});
bus.addEventListener("queue", ({ detail }) => { showWaiting(detail); if (here().screen === "visit" && visits.visit()) renderNews(); });
bus.addEventListener("heard", ({ detail: { entry, told } }) => { if (entry.visit_id === visits.visit()?.id) visits.take(told); });
bus.addEventListener("refused", ({ detail: { entry, why } }) => refuse(text("not_taken", { word: text(`act_${entry.word}`), why })));
bus.addEventListener("visit", () => { if (here().screen === "visit") renderNews(); });
bus.addEventListener("not_known", async () => { // revoked: nothing of this phone is worth anything any more
  Object.assign(state, { me: null, isRevoked: true, stops: [] });
  await visits.leave();
  for (const name of ["me", "stops"]) await forget(name);
  await emptyQueue();
  location.hash = "#/";
  render();
});
addEventListener("hashchange", render);
addEventListener("offline", () => connected(false));
addEventListener("online", beat);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { beat(); renewStops().catch(() => {}); } });

async function beat() {
  try { await clock.ask(BEAT_MS); connected(true); } catch { connected(false); }
}

async function begin() {
  const [me, kept] = [await read("me"), await read("stops")];
  Object.assign(state, { me: me ?? null, ...(kept ?? {}) });
  await visits.restore();
  const held = visits.visit();
  if (held?.is_live && here().kind === "stops" && state.me) history.replaceState(null, "", `#/stop/${held.stop_id}/visit`);
  render();
  setInterval(() => { if (!document.hidden) beat(); }, BEAT_MS);
  setInterval(() => { if (state.me && !document.hidden && hasNetwork() && !visits.isHeld()) renewStops().catch(() => {}); }, STOPS_EVERY_MS);
  setInterval(() => { if (here().screen === "visit") visits.tick(); showWaiting(queue.list()); }, 1000);
  await beat();
  if (state.me) { await queue.flush(); await renewStops().catch(() => {}); }
  if ("serviceWorker" in navigator) {
    await navigator.serviceWorker.register(document.querySelector('meta[name="worker"]').content, { scope: "/courier" }).catch(() => {});
  }
}

begin();
