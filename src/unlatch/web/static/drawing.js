// What maps and charts are drawn with. Both libraries are ours to serve, and are fetched where a page needs them.

const address = (name) => document.querySelector(`meta[name="${name}"]`).content;
export function load(kind) {
  return new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address(`${kind}-style`) });
    const script = Object.assign(document.createElement("script"), { src: address(`${kind}-script`), onload: resolve, onerror: reject });
    document.head.append(style, script);
  });
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`) || "#888";
// What a colour of the page is in this theme, for a canvas, which knows no light-dark().
export function plain(name) {
  const probe = Object.assign(document.createElement("i"), { hidden: true });
  probe.style.color = colour(name);
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
