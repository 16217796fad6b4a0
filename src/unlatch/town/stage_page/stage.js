// The town's own page: shows what is physically so, lends hands, and says what comes next by what has happened.

import { KINDS, draw, pick, tell, words } from "/stage/map.js";

const { server, car: ownCar, home: ownHome, courier: ownCourier } = document.body.dataset;
const language = document.documentElement.lang;
const LOOK_EVERY_MS = 500;
const frame = (name) => document.querySelector(`iframe[name=${name}]`);
const byId = (id) => document.getElementById(id);

// Each app where it was, or by a fresh link from its mailbox. One key per platform: another demo is another one.
for (const name of ["courier", "consignee", "operator"]) {
  const app = frame(name), key = `${server} ${ownCar} ${name}`;
  const isKnown = localStorage.getItem(key) === "entered";
  app.src = name === "courier" ? server + (isKnown ? "/courier" : app.dataset.app)
    : isKnown ? server + app.dataset.app : `/stage/enter/${name}`;
  let loads = name === "courier" ? 1 : 0; // the first is the question whether to go on
  app.addEventListener("load", () => { if (++loads > 1) localStorage.setItem(key, "entered"); });
}

const books = [...document.querySelectorAll("[data-book]")];
let map, chosen = ["cars", ownCar];
const find = (kind, id) => map[kind].find((mark) => mark.id === id);

// The phone in the frame is told where the courier is on the map, as a desktop has no position of its own.
addEventListener("message", ({ origin, source, data }) => {
  if (origin !== server || source !== frame("courier").contentWindow || data !== "where am I?" || !map) return;
  const { latitude, longitude } = find("couriers", ownCourier);
  source.postMessage({ coords: { latitude, longitude, accuracy: 5 } }, server);
});

// ---- what to do ---------------------------------------------------------------------------------------------------

const STEPS = ["scan", "open", "put", "locked", "done"];
let at = 0, wasOpen = false, label;
function guide(mark) {
  if (label !== map.label) { at = 0; wasOpen = false; label = map.label; }
  const kind = `${map.target}s`, isFree = mark && !mark.is_locked, isOpen = mark?.is_open;
  if (at === 0 && isFree) at = 1;
  if (at <= 1 && isOpen) at = 2;
  if (at === 2 && wasOpen && !isOpen) at = 3;
  if (at === 3 && isOpen) at = 2;
  if (at === 3 && !isFree && !isOpen) at = 4;
  if (at === 4 && isFree) at = 1;
  if (at === 1 && !isFree && !isOpen) at = 0; // locked again, as nobody opened it
  wasOpen = isOpen;
  for (const list of document.querySelectorAll("[data-guide]")) list.hidden = list.dataset.guide !== kind;
  for (const step of document.querySelectorAll(`[data-guide=${kind}] [data-step]`)) {
    const number = STEPS.indexOf(step.dataset.step);
    step.classList.toggle("is-done", number < at || at === 4);
    if (number === at) step.setAttribute("aria-current", "step"); else step.removeAttribute("aria-current");
  }
  byId("label").textContent = map.label;
  byId("for").textContent = words[`for_${kind}`];
}

// ---- the one that is chosen -----------------------------------------------------------------------------------------

const select = byId("chosen");
function offer() {
  for (const group of select.querySelectorAll("[data-kind]")) {
    const known = new Set([...group.children].map((one) => one.value));
    for (const mark of map[group.dataset.kind]) {
      if (!known.has(`${group.dataset.kind} ${mark.id}`)) group.append(new Option(mark.name, `${group.dataset.kind} ${mark.id}`));
    }
  }
  select.value = chosen.join(" ");
}

function showChosen(kind, mark) {
  for (const panel of document.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== kind;
  const said = mark ? tell(kind, mark) : [];
  const badges = byId("badges");
  while (badges.children.length > said.length) badges.lastChild.remove();
  said.forEach(([word, isWell], number) => {
    const badge = badges.children[number] ?? badges.appendChild(document.createElement("span"));
    badge.className = `badge ${isWell === undefined ? "" : isWell ? "badge-good" : "badge-warn"}`;
    if (badge.textContent !== word) badge.textContent = word;
  });
  const tick = (within, kinds) => {
    for (const box of document.querySelectorAll(`[data-panel=${kind}] ${within} input`)) {
      if (box !== document.activeElement) box.checked = kinds.includes(box.value);
    }
  };
  tick("[data-faults]", mark?.faults ?? []);
  tick("[data-camera]", [mark?.camera_fault]);
  document.querySelector("[data-camera]").hidden = !mark?.camera_id;
}

function choose(kind, id) {
  chosen = [kind, id];
  if (document.activeElement?.matches("[type=checkbox]")) document.activeElement.blur(); // its tick was another's
  byId("could-not").hidden = true;
  show();
}

select.addEventListener("change", () => choose(...select.value.split(/ (.*)/)));
byId("town").addEventListener("click", (event) => {
  const found = map && pick(map, event);
  if (found) choose(found[0], found[1].id);
});

// ---- looking --------------------------------------------------------------------------------------------------------

function show() {
  const mark = find(...chosen), target = map.target === "car" ? find("cars", ownCar) : find("homes", ownHome);
  draw(map, { chosen: mark, target });
  offer();
  showChosen(chosen[0], mark);
  guide(target);
  byId("not-yet").hidden = map.targets.includes("home");
  for (const one of books) one.disabled = !map.targets.includes(one.dataset.book);
}

let latest = 0;
async function look() {
  const number = ++latest;
  try {
    const answer = await fetch("/stage/map", { signal: AbortSignal.timeout(2500) });
    const seen = answer.ok ? await answer.json() : null;
    if (number !== latest) return; // somebody has looked since
    if (!seen) throw new Error(answer.status);
    map = seen;
    show();
    byId("lost").hidden = true;
  } catch { byId("lost").hidden = false; }
}

// ---- hands ----------------------------------------------------------------------------------------------------------

const pathOf = { cars: (id) => `/town/cars/${id}`, homes: (id) => `/town/homes/${id}`, couriers: (id) => `/stage/couriers/${id}` };
const post = (path, body) => fetch(path, { method: "POST", body: body && JSON.stringify(body) });

for (const one of document.querySelectorAll("[data-do]")) {
  one.addEventListener("click", async () => {
    const answer = await post(`${pathOf[chosen[0]](chosen[1])}/${one.dataset.do}`);
    const told = byId("could-not");
    told.hidden = answer.ok;
    if (!answer.ok) told.textContent = `${words.could_not} ${words[(await answer.json()).outcome] ?? ""}`;
    await look();
  });
}
for (const one of document.querySelectorAll("[data-faults] input")) {
  one.addEventListener("change", async () => {
    const where = `${pathOf[chosen[0]](chosen[1])}/faults`;
    if (one.checked) await post(where, { kind: one.value }); else await fetch(`${where}/${one.value}`, { method: "DELETE" });
    await look();
  });
}
for (const one of document.querySelectorAll("[data-camera] input")) {
  one.addEventListener("change", async () => {
    const where = `/town/cameras/${find(...chosen).camera_id}/fault`;
    if (one.checked) await post(where, { kind: one.value }); else await fetch(where, { method: "DELETE" });
    await look();
  });
}
let isBooking = false;
for (const one of books) {
  one.addEventListener("click", async () => {
    if (isBooking) return;
    isBooking = true;
    const answer = await post(`/stage/parcels/${one.dataset.book}?lang=${language}`);
    const told = byId("not-booked");
    told.hidden = answer.ok;
    if (answer.ok) choose(`${one.dataset.book}s`, one.dataset.book === "car" ? ownCar : ownHome);
    else told.textContent = `${words.could_not} ${(await answer.json()).error}`;
    isBooking = false;
    await look();
  });
}

await look();
// Only now is there a hand that would do it: what is pressed before would be lost.
for (const one of document.querySelectorAll("[data-do], .boxes input")) one.disabled = false;
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  if (!document.hidden) await look();
}
