// The page on which a household watches a visit. Its ticket stands behind the # of its address, is good once, and becomes
// one that is good for an hour: kept in this tab alone.

import { LivePicture, canPlayLive } from "./live.js";

const REFRESH_MS = 3000;
const DOUBTED = ["frozen", "looping", "clock_wrong"];
const texts = JSON.parse(document.body.dataset.texts);
const visitId = document.body.dataset.visit;
const language = document.documentElement.lang;
const place = (id) => document.getElementById(id);
const kept = `unlatch-watching:${visitId}`;

let ticket = null;
let picture = null;
let cameraId = null; // that is shown
let shownClips = "";

class Refused extends Error {
  isRefused = true;
}

async function ask(method, path, body) {
  const headers = { "Accept-Language": language };
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
  });
  if ([401, 403, 404].includes(answer.status)) throw new Refused(String(answer.status));
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function clock(at, withDay = false) {
  const form = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
  return withDay
    ? new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" })
    : new Date(at).toLocaleTimeString(language, form);
}

const fill = (name, at, withDay) => texts[name].replace("{time}", clock(at, withDay));

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function message(text) {
  place("message").textContent = text;
  place("message").hidden = text === "";
}

// ---- live

function showState({ kind, pictureAt, code }) {
  const isLive = kind === "live";
  place("badge").hidden = !isLive;
  place("screen").classList.toggle("is-stale", !isLive);
  place("banner").hidden = isLive;
  if (!isLive) place("banner").textContent = say(kind, pictureAt, code);
  if (kind === "ended" || kind === "refused") picture = null;
  if (kind === "refused") message(texts.refused);
}

function say(kind, pictureAt, code) {
  if (kind === "unsupported") return texts.unsupported;
  if (kind === "ended") return texts.over;
  if (pictureAt === null) return texts["no-picture"];
  return fill(DOUBTED.includes(code) ? "doubted" : "not-live", pictureAt);
}

function watch(camera) {
  picture?.stop();
  cameraId = camera.id;
  for (const button of place("cameras").children) {
    button.setAttribute("aria-pressed", String(button.dataset.camera === cameraId));
  }
  showState({ kind: "stale", pictureAt: null, code: null });
  picture = new LivePicture(place("picture"), {
    ask: async () => {
      const made = await ask("POST", `/v1/watching/${ticket}/live`);
      return {
        socket: `${made.address}&camera=${cameraId}`,
        playlist: `/v1/watching/${ticket}/cameras/${cameraId}/live.m3u8`,
      };
    },
    tell: showState,
  });
  picture.start();
}

function showCameras(cameras) {
  const live = cameras.filter((camera) => camera.is_live);
  const names = live.map((camera) => camera.id).join(" ");
  if (place("cameras").dataset.names !== names) {
    place("cameras").dataset.names = names;
    place("cameras").replaceChildren(...live.map((camera) => {
      const button = make("button", camera.name || camera.id, { type: "button", "data-camera": camera.id });
      button.setAttribute("aria-pressed", String(camera.id === cameraId && picture !== null));
      button.addEventListener("click", () => watch(camera));
      return button;
    }));
    place("cameras").hidden = live.length < 2;
  }
  if (live.length > 0) place("live").hidden = false;
  if (picture === null && live.length > 0 && canPlayLive()) watch(live[0]);
  if (live.length > 0 && !canPlayLive()) showState({ kind: "unsupported", pictureAt: null, code: null });
}

// ---- clips

function showClips(clips) {
  const seen = JSON.stringify(clips);
  if (seen === shownClips) return;
  shownClips = seen;
  place("recordings").hidden = clips.length === 0;
  place("clips").replaceChildren(...clips.map(showClip));
}

function showClip(clip) {
  const item = make("li", null);
  const address = `/v1/watching/${ticket}/clips/${clip.id}`;
  const minutes = `${Math.floor(clip.length_s / 60)}:${String(Math.floor(clip.length_s % 60)).padStart(2, "0")}`;
  item.append(make("p", `${clip.camera_name || clip.camera_id}, ${clock(clip.made_at)} (${minutes})`));
  if (clip.erased_at !== null) {
    item.append(make("p", fill("erased", clip.erased_at, true)));
    return item;
  }
  const buttons = make("p", null, { class: "buttons" });
  const play = make("button", texts.play, { type: "button", "data-clip": clip.id });
  play.addEventListener("click", () => playClip(address, `${address}/poster`));
  buttons.append(play, make("a", texts.download, { href: `${address}?download=true`, download: `${clip.id}.mp4` }));
  item.append(buttons, make("p", fill("kept-until", clip.keep_until, true), { class: "small" }));
  return item;
}

function playClip(address, poster) {
  const video = place("clip");
  video.hidden = false;
  video.poster = poster;
  video.src = address;
  video.onerror = () => message(texts.damaged);
  video.play().catch(() => {});
  video.scrollIntoView({ block: "nearest" });
}

// ---- who has watched

function showLooks(looks) {
  place("watched").hidden = looks.length === 0;
  place("looks").replaceChildren(
    ...looks.map((look) => make("li", `${clock(look.at)}: ${look.doer.text} ${look.text}`)),
  );
}

// ---- the page

async function refresh() {
  try {
    const watching = await ask("GET", `/v1/watching/${ticket}`);
    place("state").textContent = watching.state_text;
    showCameras(watching.cameras);
    showClips(watching.clips);
    showLooks(watching.looks);
    const isLive = watching.cameras.some((camera) => camera.is_live);
    message(isLive || watching.clips.length > 0 ? "" : watching.is_live ? texts.waiting : texts.over);
  } catch (error) {
    if (error.isRefused) {
      picture?.stop();
      picture = null;
      place("live").hidden = true;
      sessionStorage.removeItem(kept);
      message(texts.refused);
      return;
    }
    message(texts.offline);
  }
  setTimeout(refresh, REFRESH_MS);
}

async function open() {
  const given = location.hash.slice(1);
  // Out of the address at once: it is in no bookmark and no history.
  history.replaceState(null, "", location.pathname);
  try {
    if (given !== "") {
      ticket = (await ask("POST", "/v1/watching", { visit_id: visitId, ticket: given })).ticket;
      sessionStorage.setItem(kept, ticket);
    } else {
      ticket = sessionStorage.getItem(kept);
    }
  } catch (error) {
    if (!error.isRefused) throw error;
    ticket = sessionStorage.getItem(kept);
  }
  if (ticket === null) {
    message(texts.refused);
    return;
  }
  await refresh();
}

open().catch(() => message(texts.offline));
