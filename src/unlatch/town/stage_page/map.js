// The map of the town: marks that move, and the same in words. It draws what it is given, and asks nobody.

const SVG = "http://www.w3.org/2000/svg";
const BESIDE = [-22, -8]; // a courier who is there is drawn beside what they have come to
const NEAR_PX = 48;
const svg = document.getElementById("town"), layer = document.getElementById("marks");
const height = svg.viewBox.baseVal.height;
const language = document.documentElement.lang;
export const words = await (await fetch(`/stage/words?lang=${language}`)).json();
const plural = new Intl.PluralRules(language);
const count = (name, n) => (words[`${name}_${plural.select(n)}`] ?? words[`${name}_other`]).replace("{n}", n.toLocaleString(language));
export const KINDS = ["cars", "homes", "couriers"];

// What is so of a mark: [word, whether it is as it should be, or nothing where that is no question].
export function tell(kind, mark) {
  if (kind === "couriers") return [[words[mark.is_there ? "courier_there" : mark.is_sent ? "courier_under_way" : "courier_on"]]];
  const said = kind === "cars" ? [[words[mark.is_moving ? "is_driving" : "is_parked"]]] : [];
  said.push([words[`${kind}_${mark.is_open ? "open" : "shut"}`], !mark.is_open], [words[`${kind}_${mark.is_locked ? "locked" : "unlocked"}`], mark.is_locked]);
  if (kind === "homes") said.push([words[`camera_${camera(mark)}`], ["broken", "unreached"].includes(camera(mark)) ? false : undefined]);
  if (mark.faults.length) said.push([count("fault", mark.faults.length), false]);
  return said;
}

const camera = (home) => (!home.camera_id ? "none" : home.camera_fault ? "broken" : !home.is_wifi_up ? "unreached" : home.is_watched ? "watched" : "idle");

const placeOf = (mark) => { // on the drawing
  const [right, down] = mark.is_there ? BESIDE : [0, 0];
  return [mark.east + right, height - mark.north + down];
};

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// One element for each mark, made once and kept: what does not change is not touched.
function keep(parent, id, make) {
  const found = [...parent.children].find((one) => one.dataset.id === id);
  if (found) return found;
  const made = make();
  made.dataset.id = id;
  return parent.appendChild(made);
}

function drawMark(kind, mark, { chosen, target }) {
  const drawn = keep(layer, `${kind} ${mark.id}`, () => {
    const made = document.createElementNS(SVG, "g");
    made.append(...document.getElementById(`mark-${kind}`).cloneNode(true).childNodes);
    return made;
  });
  const turn = drawn.querySelector(".turn"), initial = drawn.querySelector(".initial");
  const [x, y] = placeOf(mark);
  drawn.style.transform = `translate(${x}px, ${y}px)`;
  if (turn) turn.style.transform = `rotate(${mark.heading - 90}deg)`;
  if (initial) write(initial, mark.name[0]);
  const is = {
    chosen: chosen === mark, target: target === mark, open: mark.is_open, unlocked: mark.is_locked === false,
    faulty: mark.faults?.length > 0, [`seen-${kind === "homes" ? camera(mark) : "none"}`]: true,
  };
  drawn.setAttribute("class", ["mark", kind, ...Object.keys(is).filter((name) => is[name]).map((name) => `is-${name}`)].join(" "));
}

function keepOnly(parent, ids) {
  for (const one of [...parent.children]) if (!ids.has(one.dataset.id)) one.remove();
}

export function draw(map, shown) {
  for (const kind of KINDS) {
    const list = document.querySelector(`[data-words=${kind}]`);
    for (const mark of map[kind]) {
      drawMark(kind, mark, shown);
      write(keep(list, mark.id, () => document.createElement("li")), words.said.replace("{name}", mark.name).replace("{said}", tell(kind, mark).map(([word]) => word).join(", ")));
    }
    keepOnly(list, new Set(map[kind].map((mark) => mark.id)));
  }
  keepOnly(layer, new Set(KINDS.flatMap((kind) => map[kind].map((mark) => `${kind} ${mark.id}`))));
  const driving = map.cars.filter((car) => car.is_moving).length, cameras = map.homes.filter((home) => home.camera_id).length;
  write(document.getElementById("counted"), [
    [count("car", map.cars.length), driving && count("driving", driving)], [count("home", map.homes.length), count("camera", cameras)],
    [count("courier", map.couriers.length)],
  ].map((part) => part.filter(Boolean).join(", ")).join(" · "));
}

// The mark that lies nearest to a finger, as [kind, mark].
export function pick(map, { clientX, clientY }) {
  const seen = svg.getScreenCTM();
  const away = (mark) => {
    const at = new DOMPoint(...placeOf(mark)).matrixTransform(seen);
    return Math.hypot(at.x - clientX, at.y - clientY);
  };
  const all = KINDS.flatMap((kind) => map[kind].map((mark) => ({ kind, mark, px: away(mark) })));
  const nearest = all.reduce((one, other) => (other.px < one.px ? other : one), { px: NEAR_PX });
  return nearest.mark ? [nearest.kind, nearest.mark] : null;
}
