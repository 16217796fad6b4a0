// Barcodes from the camera: by the browser's own reader where it has one, else by ours.

const FORMATS = ["code_128", "qr_code", "data_matrix"];
const EVERY_MS = 120;
const address = (name) => document.querySelector(`meta[name="${name}"]`).content;
let loading;

async function findReader() {
  if ("BarcodeDetector" in window) {
    const known = await window.BarcodeDetector.getSupportedFormats().catch(() => []);
    if (FORMATS.every((one) => known.includes(one))) return new window.BarcodeDetector({ formats: FORMATS });
  }
  loading ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: address("barcodes"), onload: resolve, onerror: reject });
    document.head.append(script);
  });
  await loading;
  const { BarcodeDetector, prepareZXingModule } = window.BarcodeDetectionAPI;
  prepareZXingModule({ overrides: { locateFile: (path, prefix) => (path.endsWith(".wasm") ? address("barcodes-wasm") : prefix + path) } });
  return new BarcodeDetector({ formats: FORMATS });
}

// Look until `found` says that it is content. Returns how to stop. Raises where there is no camera.
export async function look(video, found) {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } },
  });
  let isOver = false;
  const stop = () => { isOver = true; for (const track of stream.getTracks()) track.stop(); };
  try {
    video.srcObject = stream;
    await video.play();
    const reader = await findReader();
    (async () => {
      while (!isOver && video.isConnected) {
        const symbols = video.readyState >= 2 ? await reader.detect(video).catch(() => []) : [];
        if (isOver) break;
        if (symbols.length > 0 && found(symbols.map((one) => one.rawValue))) break;
        await new Promise((go) => setTimeout(go, EVERY_MS));
      }
      stop();
    })();
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

// Of several symbols on one label, the one that bears a number of this stop; else the first.
export function choose(symbols, labels) {
  const numbers = labels.map((label) => label.split(":").pop().toUpperCase());
  return symbols.find((symbol) => numbers.some((number) => symbol.toUpperCase().includes(number))) ?? null;
}
