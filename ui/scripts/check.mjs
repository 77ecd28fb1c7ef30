// What the build must hold: the language level and names an old WebView knows, and the weight of what it loads.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const KIB = 1024;
// French is part of app.js; the texts of another language are loaded when it is chosen.
const BUDGETS = [['app.js', 52], ['texts-ar.json', 12], ['texts-en.json', 12], ['app.css', 10], ['office.js', 120], ['office.css', 10]];
const FONTS_KIB = 130;

// [where, what, why]. The till only: the office page is for evergreen browsers.
const BANNED_JS = [
  [/\bBigInt\b/, 'BigInt (Chromium 67)'], [/\.replaceAll\(/, 'replaceAll (85)'], [/\bIntl\./, 'Intl: differs from engine to engine'],
  [/\bAbortController\b/, 'AbortController (66)'], [/\bResizeObserver\b/, 'ResizeObserver (64)'], [/\bstructuredClone\b/, 'structuredClone (98)'],
  [/\brandomUUID\b/, 'crypto.randomUUID (92)'], [/\.flatMap\(|\.flat\(/, 'Array.flat (69)'], [/\.fromEntries\(/, 'Object.fromEntries (73)'],
  [/\.allSettled\(/, 'Promise.allSettled (76)'], [/\.finally\(/, 'Promise.finally (63)'], [/\bglobalThis\b/, 'globalThis (71)'],
  [/\.toLocale(?:Date|Time)?String\(/, 'toLocaleString: differs from engine to engine'], [/[\u2066-\u2069]|\\u206[6-9]/i, 'isolates: drawn reversed by Chromium 53 to 61'],
];
const BANNED_CSS = [
  [/[{;]\s*(?:row-|column-)?gap\s*:/, 'gap (84)'], [/display\s*:\s*(?:inline-)?grid/, 'grid'], [/[{;]\s*inset\s*:/, 'inset (87)'],
  [/(?:margin|padding|border)-(?:inline|block)/, 'logical properties (69)'], [/[{;]\s*(?:inline|block)-size/, 'logical sizes'], [/:has\(|:is\(|:where\(/, ':has, :is, :where'],
  [/:focus-visible/, ':focus-visible (86)'], [/aspect-ratio/, 'aspect-ratio (88)'], [/\b(?:clamp|min|max)\(/, 'clamp, min, max (79)'], [/\d(?:dvh|svh|lvh)\b/, 'dvh (108)'],
  [/\brgba?\(\s*\d+\s+\d/, 'space-separated rgb (65)'], [/oklch|color-mix/, 'oklch, color-mix'], [/@container|@layer/, 'container queries, layers'], [/prefers-color-scheme/, 'prefers-color-scheme (76)'],
  [/#(?:[0-9a-f]{4}|[0-9a-f]{8})\b(?!-)/i, 'four and eight digit colours (62)'], [/direction\s*:\s*rtl/, 'direction belongs in the dir attribute: the mirror flips it'],
];
const failures = [];

function files(folder, ending) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => entry.isDirectory() ? files(join(folder, entry.name), ending) : ending.test(entry.name) ? [join(folder, entry.name)] : []);
}

function ban(file, rules) {
  const text = readFileSync(file, 'utf8');
  for (const [pattern, why] of rules) {
    const hit = pattern.exec(text);
    if (hit) failures.push(`${file}: ${why}: …${text.slice(Math.max(0, hit.index - 30), hit.index + 40).replace(/\s+/g, ' ')}…`);
  }
}

ban('dist/app.js', BANNED_JS);
ban('dist/app.css', BANNED_CSS);
for (const file of files('i18n', /\.json$/)) ban(file, [[/[\u2066-\u2069]/, 'isolates']]);
const html = readFileSync('dist/till.html', 'utf8');
if (/type="module"|<script>|crossorigin| style=/.test(html)) failures.push('dist/till.html: modules, inline scripts or styles');
if (/https?:\/\/(?!www\.w3\.org)[^"'\s)]+\.(?:js|css|woff2)/.test(readFileSync('dist/app.js', 'utf8') + readFileSync('dist/app.css', 'utf8'))) failures.push('dist: loads from another host');
if (/"resolved"/.test(readFileSync('package-lock.json', 'utf8'))) failures.push('package-lock.json names a registry: npm install --omit-lockfile-registry-resolved');

try {
  execFileSync('node_modules/.bin/es-check', ['es2015', 'dist/app.js'], { stdio: 'pipe' });
} catch (error) {
  failures.push(`es-check es2015 dist/app.js: ${String(error.stdout)}${String(error.stderr)}`);
}

const line = (name, size, budget) => {
  const over = size > budget * KIB;
  process.stdout.write(`${name.padEnd(14)} ${(size / KIB).toFixed(1).padStart(7)} KiB of ${budget}${over ? '  OVER' : ''}\n`);
  if (over) failures.push(`${name} is over its budget of ${budget} KiB`);
};
for (const [name, budget] of BUDGETS) line(name, gzipSync(readFileSync(join('dist', name)), { level: 9 }).length, budget);
line('fonts', files('dist/fonts', /\.woff2$/).reduce((sum, file) => sum + statSync(file).size, 0), FONTS_KIB);

for (const failure of failures) process.stderr.write(`${failure}\n`);
process.exitCode = failures.length ? 1 : 0;
