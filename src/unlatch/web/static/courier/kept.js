// What this phone keeps: its key and token, the last round, the visit under way, and what waits to be sent.

const NAME = "unlatch-courier";
let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("kept");
      request.result.createObjectStore("queue", { keyPath: "id", autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => { opening = undefined; reject(request.error); };
  });
  return opening;
}

async function within(store, mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode, { durability: "strict" });
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

export const read = (name) => within("kept", "readonly", (store) => store.get(name));
export const write = (name, value) => within("kept", "readwrite", (store) => store.put(value, name));
export const forget = (name) => within("kept", "readwrite", (store) => store.delete(name));

export const listQueue = () => within("queue", "readonly", (store) => store.getAll());
export const addToQueue = (entry) => within("queue", "readwrite", (store) => store.add(entry));
export const dropFromQueue = (id) => within("queue", "readwrite", (store) => store.delete(id));
export const emptyQueue = () => within("queue", "readwrite", (store) => store.clear());
