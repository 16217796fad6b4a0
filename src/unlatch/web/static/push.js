// This browser as a way to be told: it is asked only on a tap, and what stands in the way is said plainly.

const form = document.querySelector("form[data-push]");
const button = form?.querySelector("button");
const canBeTold = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

function say(what) {
  for (const one of form.querySelectorAll("[data-says]")) one.hidden = one.dataset.says !== what;
  button.hidden = what === "unsupported" || what === "denied";
  form.hidden = what === "told";
}

async function find() {
  return (await navigator.serviceWorker.getRegistration("/me"))?.pushManager.getSubscription();
}

// `data-here`: the server has a channel for this browser. Both must hold, or nothing arrives.
async function look() {
  if (!canBeTold) return say("unsupported");
  if (Notification.permission === "denied") return say("denied");
  if (form.dataset.here === "") return say("ready");
  return say(Notification.permission === "granted" && (await find()) ? "told" : "lost");
}

async function subscribe() {
  const registration = await navigator.serviceWorker.register("/me/worker.js", { scope: "/me" });
  await navigator.serviceWorker.ready;
  await (await find())?.unsubscribe(); // somebody else's here, or of another key of the server's
  const made = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: form.dataset.push });
  const { endpoint, keys } = made.toJSON();
  for (const [name, value] of Object.entries({ endpoint, ...keys })) form.elements[name].value = value;
}

let isAsking = false;
async function ask() {
  if (isAsking) return;
  isAsking = true;
  try {
    if ((await Notification.requestPermission()) !== "granted") { await look(); return; }
    await subscribe();
    form.submit();
  } catch {
    say("failed");
  } finally {
    isAsking = false;
  }
}

if (form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  look();
}

for (const one of document.querySelectorAll("form[data-push-end]")) {
  one.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (canBeTold) await find().then((made) => made?.unsubscribe()).catch(() => {}); // the server sends nothing more anyway
    one.submit();
  });
}
