// Marks a part of a picture: drawn with a finger or a mouse, or typed. In pixels of the picture as the server knows it.

const NAMES = ["left", "top", "width", "height"];
const sizeOf = (picture) => [Number(picture.getAttribute("width")), Number(picture.getAttribute("height"))];
let from; // where the finger came down

function show(form) {
  const [wide, high] = sizeOf(form.querySelector("img"));
  const [left, top, width, height] = NAMES.map((name) => Number(form.elements[name].value));
  const box = form.querySelector(".marking-box");
  box.hidden = !(width > 0 && height > 0);
  box.style.left = `${(left / wide) * 100}%`;
  box.style.top = `${(top / high) * 100}%`;
  box.style.width = `${(width / wide) * 100}%`;
  box.style.height = `${(height / high) * 100}%`;
}

function at(event, picture) {
  const frame = picture.getBoundingClientRect(), [wide, high] = sizeOf(picture);
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  return [
    within(((event.clientX - frame.left) / frame.width) * wide, wide),
    within(((event.clientY - frame.top) / frame.height) * high, high),
  ];
}

function draw(event) {
  const form = from.picture.closest("form"), [x, y] = at(event, from.picture);
  const values = [Math.min(x, from.x), Math.min(y, from.y), Math.abs(x - from.x), Math.abs(y - from.y)];
  NAMES.forEach((name, number) => { form.elements[name].value = String(Math.round(values[number] * 10) / 10); });
  show(form);
}

// The page renews its parts: who listens is the document.
addEventListener("pointerdown", (event) => {
  const picture = event.target.closest?.("[data-mark] .marking")?.querySelector("img");
  if (!picture || !event.isPrimary) return;
  event.preventDefault();
  const [x, y] = at(event, picture);
  from = { picture, x, y };
});
addEventListener("pointermove", (event) => { if (from && event.isPrimary) draw(event); });
addEventListener("pointerup", (event) => { if (from && event.isPrimary) { draw(event); from = undefined; } });
addEventListener("pointercancel", () => { from = undefined; });
addEventListener("input", (event) => { const form = event.target.closest?.("[data-mark]"); if (form) show(form); });
