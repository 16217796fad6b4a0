// The town's own page: shows what is physically so, lends hands, and says what comes next by what has happened.

const server = document.body.dataset.server;
const frame = (name) => document.querySelector(`iframe[name=${name}]`);
const scene = await (await fetch("/stage/scene")).json();

// Each app where it was, or by a fresh link from its mailbox. One key per platform: another demo is another one.
for (const name of ["courier", "consignee", "operator"]) {
  const app = frame(name), key = `${server} ${scene.vin} ${name}`;
  const isKnown = localStorage.getItem(key) === "entered";
  app.src = name === "courier" ? server + (isKnown ? "/courier" : app.dataset.app)
    : isKnown ? server + app.dataset.app : `/stage/enter/${name}`;
  let loads = name === "courier" ? 1 : 0; // the first is the question whether to go on
  app.addEventListener("load", () => { if (++loads > 1) localStorage.setItem(key, "entered"); });
}

// The courier stands beside the car: their phone in the frame is told so, as a desktop has no position of its own.
const here = { coords: { latitude: scene.latitude, longitude: scene.longitude, accuracy: 5 } };
addEventListener("message", ({ origin, source, data }) => {
  if (origin === server && source === frame("courier").contentWindow && data === "where am I?") source.postMessage(here, server);
});

const STEPS = ["scan", "open", "put", "locked", "done"];
let at = 0, wasOpen = false;
function guide(car) {
  if (at === 0 && (!car.is_trunk_locked || car.armed_until)) at = 1;
  if (at <= 1 && car.is_lid_open) at = 2;
  if (at === 2 && wasOpen && !car.is_lid_open) at = 3;
  if (at === 3 && car.is_lid_open) at = 2;
  if (at === 3 && car.is_trunk_locked && !car.is_lid_open) at = 4;
  if (at === 4 && !car.is_trunk_locked) at = 1;
  wasOpen = car.is_lid_open;
  STEPS.forEach((name, number) => {
    const step = document.querySelector(`[data-step=${name}]`);
    step.classList.toggle("is-done", number < at || at === 4);
    if (number === at) step.setAttribute("aria-current", "step"); else step.removeAttribute("aria-current");
  });
}

function draw(car) {
  document.querySelector("svg.car").classList.toggle("is-open", car.is_lid_open);
  const lid = document.querySelector("[data-lid]"), lock = document.querySelector("[data-lock]");
  lid.textContent = car.is_lid_open ? lid.dataset.open : lid.dataset.shut;
  lock.textContent = car.is_trunk_locked ? lock.dataset.locked : lock.dataset.unlocked;
  lock.className = `badge ${car.is_trunk_locked ? "badge-good" : "badge-warn"}`;
  document.querySelector("[data-driving]").hidden = !car.is_moving;
  const kinds = new Set(car.faults.map((fault) => fault.kind));
  for (const one of document.querySelectorAll("[data-fault]")) {
    if (one.dataset.fault !== "outage" && one !== document.activeElement) one.checked = kinds.has(one.dataset.fault);
  }
  guide(car);
}

const car = `/town/cars/${scene.vin}`;
async function look() {
  const lost = document.getElementById("lost");
  try {
    draw(await (await fetch(car, { signal: AbortSignal.timeout(2500) })).json());
    lost.hidden = true;
  } catch { lost.hidden = false; }
}
await look();
setInterval(look, 500);

for (const one of document.querySelectorAll("[data-hand]")) {
  one.addEventListener("click", async () => {
    const answer = await fetch(`${car}/${one.dataset.hand}`, { method: "POST" });
    const told = document.getElementById("could-not");
    told.hidden = answer.ok;
    if (!answer.ok) told.textContent = `${told.dataset.text} ${(await answer.json()).outcome?.replaceAll("_", " ") ?? ""}`;
    await look();
  });
}
for (const one of document.querySelectorAll("[data-fault]")) {
  one.addEventListener("change", async () => {
    const isCloud = one.dataset.fault === "outage";
    const where = isCloud ? `/town/clouds/${scene.maker}/faults` : `${car}/faults`;
    if (one.checked) await fetch(where, { method: "POST", body: JSON.stringify({ kind: one.dataset.fault }) });
    else await fetch(isCloud ? where : `${where}/${one.dataset.fault}`, { method: "DELETE" });
  });
}
// Only now is there a hand that would do it: what is pressed before would be lost.
for (const one of document.querySelectorAll("[data-hand], [data-fault]")) one.disabled = false;
