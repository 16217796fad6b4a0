// The shell of the courier's app, without a network. The API is never answered from here.
// The server puts before this: VERSION, and SHELL, the addresses of this release's files.

const CACHE = `courier-${VERSION}`;
const PAGE = "/courier";
const PATIENCE_MS = 2500;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([...SHELL, PAGE].map((address) => new Request(address, { cache: "reload" })));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("courier-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

async function givePage(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) { await cache.put(PAGE, answer.clone()); return answer; }
    if (answer.status < 500) return answer;
  } catch { /* no network: as it was last */ }
  return (await cache.match(PAGE)) ?? Response.error();
}

async function giveFile(request) {
  return (await (await caches.open(CACHE)).match(request)) ?? fetch(request);
}

self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || address.origin !== location.origin) return;
  if (event.request.mode === "navigate" && address.pathname === PAGE) event.respondWith(givePage(event.request));
  else if (address.pathname.startsWith("/static/")) event.respondWith(giveFile(event.request));
});
