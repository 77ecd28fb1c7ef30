// What Preact and its signals ask for and Chromium 60 lacks. Nothing else is added here
// unless a run in the old engine proves it missing.
const scope = window as unknown as { queueMicrotask?: (job: () => void) => void };
if (typeof scope.queueMicrotask !== 'function') {
  scope.queueMicrotask = (job) => {
    Promise.resolve().then(job).catch((error) => setTimeout(() => { throw error; }));
  };
}
export {};
