// What every page of Unlatch shares: passkeys, the link that came by mail, and whether we are connected.

export const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

// ---- passkeys -----------------------------------------------------------------------------------------------

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function options(form) {
  const answer = await fetch(form.dataset.begin, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", "x-unlatch-csrf": csrf() },
    body: "",
  });
  if (answer.redirected) { location.href = answer.url; throw new Error("elsewhere"); }
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function readable(given) {
  given.challenge = bytes(given.challenge);
  if (given.user) given.user.id = bytes(given.user.id);
  for (const one of [...(given.excludeCredentials ?? []), ...(given.allowCredentials ?? [])]) one.id = bytes(one.id);
  return given;
}

function sendable(credential) {
  const response = credential.response;
  const told = { clientDataJSON: text(response.clientDataJSON) };
  if (response.attestationObject) told.attestationObject = text(response.attestationObject);
  if (response.authenticatorData) {
    told.authenticatorData = text(response.authenticatorData);
    told.signature = text(response.signature);
    if (response.userHandle) told.userHandle = text(response.userHandle);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response: told,
    clientExtensionResults: credential.getClientExtensionResults() });
}

async function usePasskey(form, isQuiet = false, signal = undefined) {
  const error = form.querySelector(".error");
  if (error) error.hidden = true;
  try {
    const publicKey = readable(await options(form));
    const credential = form.dataset.passkey === "add"
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey, ...(isQuiet ? { mediation: "conditional" } : {}), signal });
    form.elements.credential.value = sendable(credential);
    form.submit();
  } catch (problem) {
    if (isQuiet || problem.message === "elsewhere" || problem.name === "AbortError") return;
    if (error) {
      error.textContent = document.documentElement.lang === "fr"
        ? "La clé d'accès n'a pas répondu. Réessayez, ou choisissez une autre façon."
        : "The passkey did not answer. Try again, or choose another way.";
      error.hidden = false;
    }
  }
}

let waiting;
for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) { form.hidden = form.dataset.passkey === "sign-in"; continue; }
  form.addEventListener("submit", (event) => { event.preventDefault(); waiting?.abort(); usePasskey(form); });
  if (form.dataset.passkey === "sign-in") {
    PublicKeyCredential.isConditionalMediationAvailable?.().then((can) => {
      if (can) { waiting = new AbortController(); usePasskey(form, true, waiting.signal); }
    });
  }
}

// ---- the link that came by mail: its token stands behind the hash ---------------------------------------------

for (const form of document.querySelectorAll("form[data-token]")) {
  form.elements.token.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}

// ---- connected? -------------------------------------------------------------------------------------------------

const lost = document.getElementById("lost");
export function connected(is) { if (lost) lost.hidden = is; }
addEventListener("offline", () => connected(false));
addEventListener("online", () => connected(true));
if (navigator.onLine === false) connected(false);

// A stream of events, read with the page's own session. It beats each second: silent for three, it counts as lost and is
// begun anew after the last line that was heard. `heard(kind, data)`; returns how to stop.
const SILENCE_MS = 2900, AGAIN_MS = 1000;
export function follow(address, heard) {
  let last = "0", isOver = false, abort;
  function take(event) {
    const field = (name) => event.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    last = field("id") ?? last;
    if (field("event") === "over") isOver = true;
    if (field("event")) heard(field("event"), field("data"));
  }
  async function listen() {
    abort = new AbortController();
    let timer;
    const alive = () => { connected(true); clearTimeout(timer); timer = setTimeout(silent, SILENCE_MS); };
    const silent = () => { if (!isOver) connected(false); abort.abort(); };
    timer = setTimeout(silent, SILENCE_MS);
    try {
      const answer = await fetch(address, { headers: { "last-event-id": last }, cache: "no-store", signal: abort.signal });
      if (answer.status === 401 || answer.status === 404) isOver = true;
      if (!answer.ok) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        events.forEach(take);
      }
    } catch { /* cut: again below */ } finally { clearTimeout(timer); }
  }
  (async () => {
    while (!isOver) {
      await listen();
      if (!isOver) await new Promise((go) => setTimeout(go, AGAIN_MS));
    }
  })();
  return () => { isOver = true; abort?.abort(); };
}

// ---- parts that renew themselves ---------------------------------------------------------------------------------

// What bears `data-renew` is fetched anew: each so many seconds, and at each event of what it follows (`data-follow`).
// It is replaced where it has changed, and left alone while someone writes into it or has a finger on it.
// `data-renew-from`: where it stands, if this page was the answer to a form.
const shown = new Map(); // what each such part was drawn from
async function renew(id) {
  const from = document.getElementById(id)?.dataset.renewFrom ?? location.href;
  const answer = await fetch(from, { cache: "no-store" });
  if (!answer.ok || answer.redirected) return;
  const there = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
  const here = document.getElementById(id);
  if (there && here) here.dataset.renew = there.dataset.renew; // the nearer the courier, the oftener
  if (!there || !here || there.innerHTML === shown.get(id)) return;
  if (here.querySelector("details[open], dialog[open], :active") || isWrittenInto(here)) return;
  shown.set(id, there.innerHTML);
  const goBack = keepPlace(here);
  here.innerHTML = there.innerHTML;
  begin(here);
  goBack();
}

// A form whose only part is its button is not written into: who stands on it must hear of what happens.
const FIELDS = "input:not([type=hidden]), select, textarea";
function isWrittenInto(part) {
  const form = document.activeElement?.closest("form");
  return part.contains(form) && form.querySelector(FIELDS) !== null;
}

// Who reads by keyboard stays where they were while a part is drawn anew; where that has gone, they stand before the content.
const leadsTo = (one) => [one.localName, one.getAttribute("href") ?? one.form?.getAttribute("action"), one.value].join(" ");
function keepPlace(part) {
  const held = document.activeElement;
  if (!part.contains(held)) return () => {};
  const [where, words] = [leadsTo(held), held.textContent];
  return () => {
    if (held.isConnected) return;
    const alike = [...part.querySelectorAll("a, button, summary")].filter((one) => leadsTo(one) === where);
    const there = alike.find((one) => one.textContent === words) ?? alike[0];
    (there ?? document.getElementById("main")).focus({ preventScroll: true });
  };
}

let renewing, isStale = false;
function renewSoon(id) {
  isStale = true;
  renewing ??= (async () => {
    while (isStale) { isStale = false; await renew(id).then(() => connected(true), () => connected(false)); }
  })().finally(() => { renewing = undefined; });
}

const followed = new Map();
function begin(within) {
  for (const one of within.querySelectorAll("[data-follow]")) {
    if (followed.has(one.dataset.follow)) continue;
    const { id } = within.closest("[data-renew]") ?? {};
    followed.set(one.dataset.follow, follow(one.dataset.follow, () => id && renewSoon(id)));
  }
  for (const one of within.querySelectorAll("[data-until]")) tickOne(one);
  for (const form of within.querySelectorAll("form[data-here]")) {
    form.querySelector("[data-locate]")?.addEventListener("click", () => locate(form));
    const zone = form.elements.time_zone;
    if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
}
for (const one of document.querySelectorAll("[data-renew]")) {
  shown.set(one.id, one.innerHTML);
  begin(one);
  const again = () => setTimeout(() => { if (!document.hidden) renewSoon(one.id); again(); }, Number(one.dataset.renew) * 1000);
  again();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renewSoon(one.id); });
}
for (const form of document.querySelectorAll("form[data-here]")) if (!form.closest("[data-renew]")) begin(form.parentElement);

// ---- the console's board: rows that come drawn, as they change -----------------------------------------------------

const board = document.querySelector("[data-board]");
const drawn = (html) => { const made = document.createElement("template"); made.innerHTML = html; return made.content; };
function draw({ all, rows, gone, calls, called, count }) {
  const body = document.getElementById("board-rows"), goBack = keepPlace(board);
  if (all) for (const row of [...body.rows]) if (!(row.id.slice(4) in rows)) row.remove();
  for (const id of gone) document.getElementById(`row-${id}`)?.remove();
  for (const [id, html] of Object.entries(rows)) { // the oldest first
    const there = document.getElementById(`row-${id}`), made = drawn(html);
    made.querySelectorAll("[data-until]").forEach(tickOne);
    const row = made.firstElementChild;
    if (there) there.replaceWith(row); else body.prepend(row);
  }
  document.getElementById("board-count").textContent = count;
  document.getElementById("board-none").hidden = body.rows.length > 0;
  document.getElementById("board-some").hidden = body.rows.length === 0;
  if (calls !== null) drawCalls(calls, called);
  goBack();
}
function drawCalls(calls, called) {
  const list = document.getElementById("board-calls"), badge = document.getElementById("board-called");
  list.replaceChildren(drawn(calls));
  list.querySelectorAll("[data-until]").forEach(tickOne);
  badge.textContent = called;
  badge.classList.toggle("badge-bad", called > 0);
}
if (board) {
  board.querySelectorAll("[data-until]").forEach(tickOne);
  follow(board.dataset.board, (kind, data) => kind === "board" && draw(JSON.parse(data)));
}

function tickOne(one) {
  const seconds = Math.round((new Date(one.dataset.until) - Date.now()) / 1000);
  const left = Math.abs(seconds);
  one.classList.toggle("is-late", seconds < 0);
  one.textContent = `${seconds < 0 ? "+" : ""}${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}
setInterval(() => document.querySelectorAll("[data-until]").forEach(tickOne), 1000);

function locate(form) {
  navigator.geolocation?.getCurrentPosition(({ coords }) => {
    form.elements.latitude.value = coords.latitude.toFixed(5);
    form.elements.longitude.value = coords.longitude.toFixed(5);
  });
}
