// A browser films for a camera. What is said on the WebSocket stands in web/api/camera_feed.py.

const words = JSON.parse(document.getElementById("words").textContent);
const button = document.getElementById("begin");
const picture = document.getElementById("picture");
const line = document.getElementById("state");
const heading = document.getElementById("name");

const KEY = "unlatch.camera.key"; // in this browser's storage
const KINDS = ["video/mp4;codecs=avc1.42E01F", "video/mp4;codecs=avc1.42E01E", "video/mp4;codecs=avc1"];
const WANTED = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 15 } };
const CHUNK_MS = 100;
const KEYFRAME_MS = 500; // a fragment lasts from one keyframe to the next
const BITS_A_SECOND = 1_500_000;
const ALIVE_MS = 5_000;
const MOST_UNSENT = 3_000_000; // bytes: a picture that waits so long is no picture of now
const PAUSES_MS = [500, 1_000, 2_000, 5_000, 10_000];
const CLOSED = { 4401: "not_let_in", 4409: "replaced", 4415: "cannot" }; // for good
const AGAIN = { 4413: "slow", 1013: "full" };

let link = location.hash.slice(1);
if (link) {
  history.replaceState(null, "", location.pathname); // the address is shown and kept; the link is for once
}
let stream = null;
let socket = null;
let recorder = null;
let kind = "";
let tries = 0;
let wakeLock = null;

function show(state) {
  line.hidden = false;
  line.dataset.state = state;
  line.textContent = words[state];
}

function credential() {
  return link || localStorage.getItem(KEY) || "";
}

function say(message) {
  if (socket && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(message));
  }
}

function findObstacle() {
  if (!window.isSecureContext) return "insecure";
  if (!navigator.mediaDevices || !window.MediaRecorder) return "cannot";
  kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one)) || "";
  if (!kind) return "cannot";
  return credential() ? "" : "no_link";
}

async function stayAwake() {
  try {
    wakeLock = await navigator.wakeLock.request("screen");
  } catch {
    wakeLock = null; // not every browser can; the phone's own settings then
  }
}

async function openCamera() {
  stream = await navigator.mediaDevices.getUserMedia({ video: WANTED, audio: false });
  stream.getVideoTracks()[0].addEventListener("ended", () => void begin());
  picture.srcObject = stream;
  picture.hidden = false;
}

async function begin() {
  button.hidden = true;
  stopFilming();
  const obstacle = findObstacle();
  if (obstacle) {
    show(obstacle);
    return;
  }
  show("connecting");
  try {
    await openCamera();
  } catch (error) {
    show(error.name === "NotAllowedError" ? "denied" : "no_camera");
    button.hidden = false;
    return;
  }
  await stayAwake();
  if (!socket) connect();
  else if (socket.wantsPicture) startFilming();
}

function connect() {
  const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/camera-feed`);
  socket = mine;
  const alive = setInterval(() => say({ say: "alive" }), ALIVE_MS);
  mine.addEventListener("open", () => say({ say: "hello", credential: credential() }));
  mine.addEventListener("message", (event) => hear(mine, JSON.parse(event.data)));
  mine.addEventListener("close", (event) => {
    clearInterval(alive);
    stopFilming();
    socket = null;
    ended(event.code);
  });
}

function hear(mine, message) {
  if (message.say === "welcome") {
    tries = 0;
    heading.textContent = message.name;
    if (message.key) {
      localStorage.setItem(KEY, message.key);
      link = "";
    }
    show("ready");
  } else if (message.say === "film") {
    mine.wantsPicture = true;
    startFilming();
  } else if (message.say === "rest") {
    mine.wantsPicture = false;
    stopFilming();
    show("ready");
  }
}

function ended(code) {
  if (code in CLOSED) {
    if (code === 4401) {
      link = "";
      localStorage.removeItem(KEY);
    }
    show(CLOSED[code]);
    return;
  }
  show(AGAIN[code] || "lost");
  setTimeout(connect, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
  tries += 1;
}

function startFilming() {
  stopFilming();
  const mine = new MediaRecorder(stream, {
    mimeType: kind,
    videoBitsPerSecond: BITS_A_SECOND,
    videoKeyFrameIntervalDuration: KEYFRAME_MS,
  });
  recorder = mine;
  mine.addEventListener("dataavailable", (event) => {
    if (recorder !== mine || !event.data.size || !socket) return; // of a recording that was ended
    if (socket.bufferedAmount > MOST_UNSENT) {
      show("slow");
      socket.close();
      return;
    }
    socket.send(event.data);
  });
  mine.addEventListener("error", () => {
    if (recorder === mine && socket) socket.close(); // begun anew with the next connection
  });
  say({ say: "begin", mime: kind });
  mine.start(CHUNK_MS);
  show("filming");
}

function stopFilming() {
  const mine = recorder;
  recorder = null;
  if (mine && mine.state !== "inactive") mine.stop();
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && stream && !(wakeLock && !wakeLock.released)) void stayAwake();
});
button.addEventListener("click", () => void begin());

const obstacle = findObstacle();
if (obstacle) {
  button.hidden = true;
  show(obstacle);
} else if (navigator.permissions) {
  navigator.permissions.query({ name: "camera" }).then(
    (permission) => permission.state === "granted" && !stream && void begin(), // after a restart nobody need be there
    () => undefined, // not every browser tells
  );
}
