// The platform's API, signed. Every request says whether there is a network; nothing of it is ever cached.

import * as clock from "./clock.js";
import { prove } from "./keys.js";
import { read } from "./kept.js";

const origin = document.querySelector('meta[name="public-url"]').content;
const language = document.documentElement.lang;
export const bus = new EventTarget();
export const tell = (kind, detail) => bus.dispatchEvent(new CustomEvent(kind, { detail }));

let isConnected = true;
export function connected(is) {
  if (is === isConnected) return;
  isConnected = is;
  tell("connected", is);
}
export const hasNetwork = () => isConnected;

// Nobody answered, or too late: what was asked may have been done, and is asked again with the same key.
export class NoAnswer extends Error {}

// The platform's no. `may_pass`: it is not a no for ever.
export class Refusal extends Error {
  constructor(status, problem) {
    const errors = (problem.errors ?? []).map((one) => one.remedy);
    super(problem.reasons?.[0]?.text ?? problem.text ?? errors[0] ?? problem.detail ?? problem.title ?? String(status));
    this.status = status;
    this.trouble = (problem.type ?? "").split("#problem-")[1] ?? "";
    this.reasons = problem.reasons ?? [];
    this.may_pass = status >= 500 || status === 429 || this.trouble === "under_way";
  }
}

async function headersFor(method, path) {
  const me = await read("me");
  const headers = { "accept-language": language, dpop: await prove(method, origin + path.split("?")[0], me?.token) };
  if (me) headers.authorization = `DPoP ${me.token}`;
  return headers;
}

async function send(method, path, { body, key, timeout_ms = 12000 } = {}) {
  const headers = await headersFor(method, path);
  if (method === "POST") headers["idempotency-key"] = key ?? crypto.randomUUID();
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    const answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
      signal: AbortSignal.timeout(timeout_ms),
    });
    const text = await answer.text();
    connected(true);
    return { answer, told: text ? JSON.parse(text) : null };
  } catch (error) {
    connected(false);
    throw new NoAnswer(error.message);
  }
}

export async function ask(method, path, more = {}) {
  let { answer, told } = await send(method, path, more);
  if (answer.status === 401 && /proof|iat/.test(told?.detail ?? "")) { // this phone's clock may be wrong
    await clock.ask().catch(() => {});
    ({ answer, told } = await send(method, path, more));
  }
  if (answer.ok) return told;
  const refusal = new Refusal(answer.status, told ?? {});
  if (answer.status === 401 && path !== "/v1/devices/enrol") tell("not_known", refusal);
  throw refusal;
}

export const get = (path) => ask("GET", path);
export const post = (path, body, more) => ask("POST", path, { body, ...more });

const SILENCE_MS = 2900; // it beats each second
const AGAIN_MS = 1500;

// Follow a visit: `heard` at each line of its journal. Returns how to stop.
export function follow(visitId, heard) {
  const path = `/v1/visits/${visitId}/events`;
  let last = 0, isOver = false, abort;
  async function listen() {
    abort = new AbortController();
    let timer;
    const alive = () => { connected(true); clearTimeout(timer); timer = setTimeout(silent, SILENCE_MS); };
    const silent = () => { if (!isOver) connected(false); abort.abort(); };
    timer = setTimeout(silent, SILENCE_MS);
    try {
      const headers = { ...(await headersFor("GET", path)), "last-event-id": String(last) };
      const answer = await fetch(path, { headers, cache: "no-store", signal: abort.signal });
      if (answer.status === 404 || answer.status === 401) { isOver = true; return; }
      if (!answer.ok) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        rest += value;
        const events = rest.split("\n\n");
        rest = events.pop();
        for (const event of events) take(event);
      }
    } catch { /* cut: again below */ } finally { clearTimeout(timer); }
  }
  function take(event) {
    const field = (name) => event.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    if (field("id")) last = Number(field("id"));
    if (field("event") === "line") heard();
    if (field("event") === "over") { isOver = true; heard(); }
  }
  (async () => {
    while (!isOver) {
      await listen();
      if (!isOver) await new Promise((go) => setTimeout(go, AGAIN_MS));
    }
  })();
  return () => { isOver = true; abort?.abort(); };
}
