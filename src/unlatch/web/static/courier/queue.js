// The courier's words, each sent once, in the order in which they were said, as soon as there is a network.

import * as clock from "./clock.js";
import { NoAnswer, Refusal, post, tell } from "./api.js";
import { addToQueue, dropFromQueue, listQueue } from "./kept.js";

const AGAIN_MS = 2000;
const PHOTO_MS = 60000;
let timer, sending, waiting = [];

export const list = () => waiting;
export const wordsOf = (visitId) => waiting.filter((entry) => entry.visit_id === visitId).map((entry) => entry.word);

async function renew() {
  waiting = (await listQueue()).map(({ body, ...entry }) => entry); // photos stay where they are
  tell("queue", waiting);
}

// Say it: kept first, then sent. `phone_at` is when it was said, however late it is heard.
export async function say(word, path, body, { visit_id, is_dated = true } = {}) {
  const said_at = new Date(clock.now()).toISOString();
  await addToQueue({ word, path, visit_id, said_at, key: crypto.randomUUID(), body: is_dated ? { ...body, phone_at: said_at } : body });
  await renew();
  await flush();
}

async function sendOne(entry) {
  try {
    const told = await post(entry.path, entry.body, { key: entry.key, timeout_ms: entry.body.photo ? PHOTO_MS : undefined });
    await dropFromQueue(entry.id);
    tell("heard", { entry, told });
    return true;
  } catch (error) {
    if (error instanceof NoAnswer || (error instanceof Refusal && (error.may_pass || error.status === 401))) return false;
    await dropFromQueue(entry.id); // a no for ever: what was said after it may still count
    tell("refused", { entry, why: error.message });
    return true;
  }
}

async function sendAll() {
  clearTimeout(timer);
  for (;;) {
    const [entry] = await listQueue();
    if (!entry) break;
    if (!(await sendOne(entry))) break;
    await renew();
  }
  await renew();
  if (waiting.length > 0) timer = setTimeout(flush, AGAIN_MS);
}

// One at a time, in all tabs of this phone.
export function flush() {
  sending ??= navigator.locks.request("unlatch-queue", sendAll).finally(() => { sending = undefined; });
  return sending;
}

addEventListener("online", () => flush());
document.addEventListener("visibilitychange", () => { if (!document.hidden) flush(); });
