// This phone's key, made here and never readable by anyone, and the proof that it puts under each request (RFC 9449).

import * as clock from "./clock.js";
import { read, write } from "./kept.js";

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const utf8 = new TextEncoder();

export function encode(bytes) {
  let text = "";
  for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function findOrMakeKey() {
  const kept = await read("key");
  if (kept) return kept;
  const pair = await crypto.subtle.generateKey(CURVE, false, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const made = { privateKey: pair.privateKey, jwk: { kty, crv, x, y } };
  await write("key", made);
  return made;
}

let key;

export async function prove(method, address, token) {
  key ??= await findOrMakeKey();
  const claims = {
    htm: method,
    htu: address,
    iat: Math.floor(clock.realNow() / 1000),
    jti: encode(crypto.getRandomValues(new Uint8Array(16))),
  };
  if (token) claims.ath = encode(await crypto.subtle.digest("SHA-256", utf8.encode(token)));
  const head = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk };
  const signed = [head, claims].map((part) => encode(utf8.encode(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, utf8.encode(signed));
  return `${signed}.${encode(signature)}`;
}
