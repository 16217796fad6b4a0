// The visit under way: one step at a time, as the server says it. What the courier has said and nobody has heard yet
// changes what may be said next, and never what is shown as so.

import * as clock from "./clock.js";
import { follow, get, hasNetwork, tell } from "./api.js";
import { forget, read, write } from "./kept.js";
import * as queue from "./queue.js";
import { announce, button, countdown, fill, isShown, part, photoButton, show, span, text, timeToSecond } from "./view.js";

let current = null; // { visit, heard_ms }
let stopFollowing;

export const visit = () => current?.visit ?? null;
export const isHeld = () => Boolean(current?.visit.is_live);
export const path = (word) => `/v1/courier/visits/${current.visit.id}/${word}`;

export async function restore() {
  current = (await read("visit")) ?? null;
  if (isHeld()) listen();
}

export async function take(told) {
  const before = current?.visit;
  if (before && before.id !== told.id) stopFollowing?.();
  current = { visit: told, heard_ms: clock.now() };
  await write("visit", current);
  if (before?.id !== told.id || !stopFollowing) listen();
  if (before && (before.state !== told.state || before.next_step !== told.next_step)) navigator.vibrate?.([180, 80, 180]);
  if (!told.is_live) { stopFollowing?.(); stopFollowing = undefined; }
  tell("visit", told);
}

export async function leave() {
  stopFollowing?.();
  stopFollowing = undefined;
  current = null;
  await forget("visit");
}

let asking, isStale = false;
async function renew() {
  isStale = true;
  asking ??= (async () => {
    while (isStale && current) {
      isStale = false;
      await take(await get(`/v1/courier/visits/${current.visit.id}`));
    }
  })().catch(() => {}).finally(() => { asking = undefined; });
  return asking;
}

function listen() {
  stopFollowing?.();
  stopFollowing = follow(current.visit.id, renew);
}

// ---- what may be said now ------------------------------------------------------------------------------------------

const QUIET = { isQuiet: true };
const say = (word, label, more) => button("say", text(label), { word, ...more });
const deposit = () => [photoButton(text("act_photo"), (photo) => tell("photo", photo)), say("deposited", "act_no_photo", QUIET)];
const ACTS = {
  try_handle: () => [say("opened", "act_opened")],
  put_parcel_in: deposit,
  close_lid: () => [say("closed", "act_closed")],
  close_firmly_and_pull: () => [say("closed", "act_closed")],
  step_out_and_close: () => [say("closed", "act_closed")],
  stay_until_operator_calls: () => [say("closed", "act_closed", QUIET)],
  pull_handle: () => [say("pulled_handle", "act_pulled_handle"), say("opened", "act_opened_again", QUIET)],
  say_where_parcel_is: () => [say("deposited", "act_deposited"), button("could_not", text("act_with_me"), { reason: "other", isQuiet: true })],
  ring_and_wait: () => [say("rang", "act_rang"), say("met_someone", "act_met_someone", QUIET)],
  hand_over: () => [say("handed_over", "act_handed_over")],
  go_on: () => [button("next", text("act_next"))],
  go_nearer: () => [button("scan_again", text("act_scan_again"))],
  try_again_soon: () => [button("scan_again", text("act_scan_again"))],
  scan_right_parcel: () => [button("scan_again", text("act_scan_again"))],
  come_back_in_window: () => [button("next", text("act_next"))],
  finish_other_visit: () => [button("next", text("act_next"))],
  ask_carrier: () => [button("next", text("act_next"))],
  take_fallback: () => [button("instead", text("act_instead"))],
  wait: () => [],
};
const OPEN_STEPS = ["try_handle", "put_parcel_in", "close_lid"];
const GIVING_UP = ["wait", "try_handle", "put_parcel_in", "hand_over", "ring_and_wait"];

// The step to show: the server's, or the one after it where the courier has already said more than the server has heard.
function stepNow(told, unheard) {
  const has = (word) => unheard.includes(word);
  if (has("closed") || has("pulled_handle") || has("could_not") || has("handed_over")) return "unheard";
  const isInside = has("deposited") || told.whereabouts === "inside";
  if (OPEN_STEPS.includes(told.next_step)) {
    if (isInside) return "close_lid";
    if (has("opened")) return "put_parcel_in";
  }
  return told.next_step;
}

let drawn = "";
// What is drawn already stays, so that no button is taken away from under a finger.
export function render(stopId) {
  const { visit: told } = current;
  const unheard = queue.wordsOf(told.id);
  const step = stepNow(told, unheard);
  const title = step === told.next_step ? told.next_step_text : text(`step_${step}`);
  const content = JSON.stringify([told.id, step, title, told.state, told.state_text, told.incident_text, told.reasons]);
  if (drawn === content && isShown("visit", stopId)) return tick();
  drawn = content;
  const screen = show("visit", {
    stopId,
    texts: { state: told.state_text, step: title, incident: told.incident_text, help: text(`help_${step}`), heard: "" },
    is: conditions(told),
  });
  part("reasons").replaceChildren(...told.reasons.filter((one) => one.text !== told.incident_text).map((one) => {
    const line = document.createElement("li");
    line.textContent = one.text;
    return line;
  }));
  part("acts").replaceChildren(...(ACTS[step]?.() ?? []));
  screen.dataset.state = told.state;
  announce(title);
  return tick();
}

// Each second: what is left, and how old this is.
export function tick() {
  if (!current || !part("left")) return;
  const { visit: told, heard_ms } = current;
  fill(document.getElementById("screen"), {
    texts: {
      left: told.deadline_at ? countdown(new Date(told.deadline_at) - clock.now()) : "",
      heard: text("as_of", { time: timeToSecond(heard_ms), ago: span(clock.now() - heard_ms) }),
    },
    is: conditions(told),
    stopId: told.stop_id,
  });
}

function conditions(told) {
  const step = stepNow(told, queue.wordsOf(told.id));
  return {
    counting: told.is_live && Boolean(told.deadline_at) && hasNetwork(),
    held: told.is_live && told.has_opened,
    may_give_up: told.is_live && GIVING_UP.includes(step),
    may_leave: told.is_live,
  };
}
