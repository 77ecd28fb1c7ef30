let context: AudioContext | null = null;

function tone(hz: number, at: number, seconds: number): void {
  if (!context) return;
  const source = context.createOscillator();
  const volume = context.createGain();
  source.frequency.value = hz;
  volume.gain.value = 0.08;
  source.connect(volume);
  volume.connect(context.destination);
  source.start(context.currentTime + at);
  source.stop(context.currentTime + at + seconds);
}

function ready(): boolean {
  if (!context && typeof AudioContext === 'function') {
    try { context = new AudioContext(); } catch (_) { /* no sound card */ }
  }
  return context !== null;
}

function buzz(pattern: number | number[]): void {
  if (navigator.vibrate) navigator.vibrate(pattern);
}

/** One short high note. */
export function soundGood(): void {
  buzz(30);
  if (ready()) tone(1760, 0, 0.06);
}

/** Two low notes. */
export function soundBad(): void {
  buzz([60, 60, 60]);
  if (ready()) {
    tone(220, 0, 0.12);
    tone(180, 0.18, 0.16);
  }
}
