// A live picture: fragments of MP4 from a WebSocket into Media Source, and the truth about whether it is live.
//
// A picture is called live only while all of this holds: the server says so and has said something a moment ago, the
// picture on the screen moves on, and it is not old by the server's clock. A link that is cut, a camera that stands, a
// line that is too slow and a tab that was asleep all end in the same banner.

const STALE_MS = 2000; // the picture on the screen does not move on
const SILENT_MS = 1500; // the server says how things stand twice a second
const OLD_MS = 2500; // behind the server's clock
const LOOK_MS = 100;
const EDGE_S = 0.4; // played so far behind the newest picture
const FAR_S = 1.4; // further behind: jump
const KEPT_S = 20; // behind the picture on the screen
const MOST_S = 30; // in the buffer
const MOST_WAITING = 300; // messages that wait for the buffer
const RETRY_MS = [300, 700, 1500, 3000];
const ENDED = 1000;
const NOT_ALLOWED = [1008, 4403];

export function canPlayLive() {
  return "MediaSource" in window || canPlayPlaylists();
}

function canPlayPlaylists() {
  return document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "";
}

// How the picture on a video element moves on: by its frames where the browser tells of them, else by its clock.
class Motion {
  mediaTime = null;
  movedAt = -Infinity;
  #video;
  #isOver = false;

  constructor(video) {
    this.#video = video;
    if ("requestVideoFrameCallback" in video) this.#follow();
  }

  #follow() {
    this.#video.requestVideoFrameCallback((_, frame) => {
      this.#see(frame.mediaTime);
      if (!this.#isOver) this.#follow();
    });
  }

  look() {
    if (!("requestVideoFrameCallback" in this.#video) && this.#video.readyState >= 2) this.#see(this.#video.currentTime);
  }

  stop() {
    this.#isOver = true;
  }

  #see(mediaTime) {
    if (mediaTime === this.mediaTime) return;
    this.mediaTime = mediaTime;
    this.movedAt = performance.now();
  }
}

// `tell` hears {kind: "live" | "stale" | "ended" | "refused" | "unsupported", pictureAt: Date | null, code: string | null}
// whenever that changes, and each second. `ask` gives {socket, playlist}: addresses that are good now; it may throw an
// error with `isRefused`.
export class LivePicture {
  #video;
  #ask;
  #tell;
  #motion;
  #timer;
  #socket = null;
  #media = null;
  #buffer = null;
  #codec = null;
  #waiting = []; // messages for the buffer, in order
  #runs = []; // {begin, pictureAt}: from this time of the buffer on
  #said = null; // what the server said last of the picture
  #heardAt = -Infinity;
  #apart = Infinity; // the smallest of (our clock - the server's), ms
  #told = "";
  #toldAt = -Infinity;
  #isOver = false;
  #tries = 0;
  #isPlaylist = false;

  constructor(video, { ask, tell }) {
    this.#video = video;
    this.#ask = ask;
    this.#tell = tell;
    this.#motion = new Motion(video);
  }

  start() {
    this.#video.muted = true;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    if ("MediaSource" in window) {
      this.#connect();
    } else if (canPlayPlaylists()) {
      this.#isPlaylist = true;
      this.#video.addEventListener("error", () => this.#again());
      this.#playPlaylist();
    } else {
      this.#end("unsupported");
    }
  }

  stop() {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#motion.stop();
    this.#socket?.close();
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  // ---- the socket

  async #connect() {
    if (this.#isOver) return;
    let address;
    try {
      address = (await this.#ask()).socket;
    } catch (error) {
      if (error.isRefused) this.#end("refused");
      else this.#again();
      return;
    }
    if (this.#isOver) return;
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = (message) => this.#hear(message.data);
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#said = null;
      if (event.code === ENDED) this.#end("ended");
      else if (NOT_ALLOWED.includes(event.code)) this.#end("refused");
      else this.#again();
    };
  }

  #again() {
    if (this.#isOver) return;
    const wait = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
    this.#tries += 1;
    setTimeout(() => (this.#isPlaylist ? this.#playPlaylist() : this.#connect()), wait);
  }

  #hear(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") {
      this.#put({ data });
      return;
    }
    const said = JSON.parse(data);
    if (said.kind === "run") {
      this.#begin(said);
      return;
    }
    this.#tries = 0;
    this.#apart = Math.min(this.#apart, Date.now() - Date.parse(said.at));
    this.#said = said;
    this.#look();
  }

  // ---- the buffer

  #begin(run) {
    if (!MediaSource.isTypeSupported(run.codec)) {
      this.#end("unsupported");
      return;
    }
    this.#put({ run });
    if (this.#media !== null) return;
    const media = new MediaSource();
    this.#media = media;
    this.#codec = run.codec;
    this.#video.src = URL.createObjectURL(media);
    media.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(this.#video.src);
      this.#buffer = media.addSourceBuffer(run.codec);
      this.#buffer.addEventListener("updateend", () => this.#append());
      this.#append();
    }, { once: true });
  }

  #put(message) {
    this.#waiting.push(message);
    // A buffer that takes nothing any more is begun anew, with a link of its own.
    if (this.#waiting.length > MOST_WAITING) this.#startOver();
    else this.#append();
  }

  #startOver() {
    this.#waiting = [];
    this.#runs = [];
    this.#media = this.#buffer = null;
    this.#socket?.close(4000);
  }

  #append() {
    const buffer = this.#buffer;
    while (buffer !== null && !buffer.updating && this.#waiting.length > 0) {
      const { run, data } = this.#waiting[0];
      try {
        if (run !== undefined) this.#appendRun(buffer, run);
        else buffer.appendBuffer(data);
        this.#waiting.shift();
      } catch (error) {
        if (error.name === "QuotaExceededError" && this.#trim(2)) return;
        this.#startOver();
        return;
      }
    }
  }

  #appendRun(buffer, run) {
    // Behind what there is, whatever lies between: a gap in time is no gap in the buffer, it is told.
    const ranges = buffer.buffered;
    const begin = ranges.length > 0 ? ranges.end(ranges.length - 1) : 0;
    if (run.codec !== this.#codec) {
      buffer.changeType(run.codec);
      this.#codec = run.codec;
    }
    buffer.timestampOffset = begin - run.begins_s;
    this.#runs.push({ begin, pictureAt: Date.parse(run.picture_at) });
  }

  #trim(kept) {
    const buffer = this.#buffer;
    if (buffer === null || buffer.updating || buffer.buffered.length === 0) return false;
    const until = this.#video.currentTime - kept;
    if (until <= buffer.buffered.start(0)) return false;
    buffer.remove(0, until);
    this.#runs = this.#runs.filter((_, at) => at + 1 >= this.#runs.length || this.#runs[at + 1].begin > until);
    return true;
  }

  // ---- what is on the screen

  #look() {
    if (this.#isOver) return;
    this.#motion.look();
    if (!this.#isPlaylist) this.#stayAtEdge();
    const now = performance.now();
    const pictureAt = this.#pictureAt();
    const code = this.#said?.kind === "gap" ? (this.#said.code ?? null) : null;
    const isLive =
      (this.#isPlaylist || (this.#said?.kind === "live" && now - this.#heardAt < SILENT_MS)) &&
      now - this.#motion.movedAt < STALE_MS &&
      (pictureAt === null || this.#isPlaylist || Date.now() - this.#apart - pictureAt < OLD_MS);
    this.#say(isLive ? "live" : "stale", pictureAt, code, now);
  }

  #pictureAt() {
    const mediaTime = this.#motion.mediaTime;
    if (mediaTime === null) return null;
    if (this.#isPlaylist) {
      const begun = this.#video.getStartDate?.().getTime();
      return Number.isFinite(begun) ? begun + mediaTime * 1000 : null;
    }
    let found = null;
    for (const run of this.#runs) if (run.begin <= mediaTime + 0.001) found = run;
    return found === null ? null : found.pictureAt + (mediaTime - found.begin) * 1000;
  }

  #stayAtEdge() {
    const video = this.#video;
    const ranges = video.buffered;
    if (ranges.length === 0) return;
    const end = ranges.end(ranges.length - 1);
    const behind = end - video.currentTime;
    if (behind > FAR_S || video.currentTime < ranges.start(ranges.length - 1)) {
      video.currentTime = Math.max(ranges.start(ranges.length - 1), end - EDGE_S);
    }
    video.playbackRate = behind > 2 * EDGE_S ? 1.08 : 1;
    if (video.paused) video.play().catch(() => {});
    if (video.currentTime - ranges.start(0) > KEPT_S || end - ranges.start(0) > MOST_S) this.#trim(KEPT_S / 2);
  }

  #say(kind, pictureAt, code, now) {
    const second = pictureAt === null ? "" : Math.floor(pictureAt / 1000);
    const told = kind === "live" ? kind : `${kind} ${code} ${second}`;
    if (told === this.#told && now - this.#toldAt < 1000) return;
    this.#told = told;
    this.#toldAt = now;
    this.#tell({ kind, pictureAt: pictureAt === null ? null : new Date(pictureAt), code });
  }

  #end(kind) {
    if (this.#isOver) return;
    const pictureAt = this.#pictureAt();
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#motion.stop();
    this.#socket?.close();
    this.#tell({ kind, pictureAt: pictureAt === null ? null : new Date(pictureAt), code: null });
  }

  // ---- by playlist, where there is no Media Source

  async #playPlaylist() {
    if (this.#isOver) return;
    try {
      this.#video.src = (await this.#ask()).playlist;
      await this.#video.play();
      this.#tries = 0;
    } catch (error) {
      if (error.isRefused) this.#end("refused");
      else this.#again();
    }
  }
}
