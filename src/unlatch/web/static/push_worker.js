// What is pushed to a consignee's browser is shown, also while no page is open. It answers no request.
// The server puts before this: ICON.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// The tag is the notice's id: a repeat takes the place of what stands there, and is not heard again.
self.addEventListener("push", (event) => {
  const { tag, title, body, lang, urgent, told_at: toldAt, stop_id: stop } = event.data.json();
  const data = { address: stop ? `/me/deliveries/${encodeURIComponent(stop)}` : "/me/notices" };
  event.waitUntil(self.registration.showNotification(title, { tag, body, lang, data, icon: ICON, badge: ICON,
    requireInteraction: urgent, timestamp: Date.parse(toldAt) }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(lead(new URL(event.notification.data.address, self.location.origin).href));
});

async function lead(address) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find((page) => page.url === address);
  return there ? there.focus() : self.clients.openWindow(address);
}
