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

// A stream of events that says when it is not one any more: a heartbeat each second, lost after three.
export function follow(address, heard, { after = 0 } = {}) {
  let source, timer, last = after, closed = false;
  const alive = () => { connected(true); clearTimeout(timer); timer = setTimeout(() => { connected(false); open(); }, 3000); };
  function open() {
    source?.close();
    if (closed) return;
    source = new EventSource(`${address}${address.includes("?") ? "&" : "?"}after=${last}`);
    source.onopen = alive;
    source.onerror = () => connected(false);
    const take = (event) => { alive(); if (event.lastEventId) last = Number(event.lastEventId); if (event.data) heard(event); };
    source.onmessage = take;
    for (const kind of ["line", "beat", "ended"]) source.addEventListener(kind, take);
    alive();
  }
  open();
  return () => { closed = true; clearTimeout(timer); source?.close(); };
}
