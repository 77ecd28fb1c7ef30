import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';
import rtlcss from 'postcss-rtlcss';

// The till is one classic script and one stylesheet: a handheld's WebView of Chromium 60 knows no ES
// modules, and the content security policy forbids inline scripts. The office page is for evergreen browsers.

const classicScript = {
  name: 'classic-script',
  enforce: 'post',
  generateBundle: {
    order: 'post',
    handler(_options, bundle) {
      const chunk = bundle['app.js'];
      if (chunk) chunk.code = `(function(){"use strict";${chunk.code}\n})();`;
    },
  },
  transformIndexHtml: {
    order: 'post',
    handler: (html) => html
      .replace(/\s*<script type="module"[^>]*><\/script>/, '')
      .replace(/ crossorigin/g, '')
      .replace('</body>', '  <script src="./app.js"></script>\n</body>'),
  },
};

// The till's window freezes Object.prototype, and strict code may then not assign an inherited name to any other
// prototype: what the signals assign is defined instead.
const definedNames = {
  name: 'defined-names',
  transform(code, id) {
    if (!id.includes('/signals-core/')) return null;
    const assigned = /(\w+)\.prototype\.(valueOf|toString)=(function\(\)\{[^{}]*\})/g;
    if (code.match(assigned)?.length !== 2) this.error('the signals assign other names than valueOf and toString');
    return { code: code.replace(assigned, 'Object.defineProperty($1.prototype,"$2",{value:$3,configurable:true,writable:true})'), map: null };
  },
};

// Arabic and English texts as lists in the order of the French keys: each key is loaded once instead of three times.
// The type check has seen to it that all have the same ones.
const keysOnce = {
  name: 'keys-once',
  apply: 'build',
  enforce: 'pre',
  load(id) {
    const file = /\/i18n\/(?:ar|en)\/(\w+\.json)$/.exec(id);
    if (!file) return null;
    const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
    const keys = Object.keys(read(id.replace(/\/i18n\/(?:ar|en)\//, '/i18n/fr/')));
    const texts = read(id);
    const code = `import fr from '../fr/${file[1]}';\nconst all = ${JSON.stringify(keys.map((key) => texts[key]))};\nconst texts = {};\nObject.keys(fr).forEach((key, i) => { texts[key] = all[i]; });\nexport default texts;`;
    return { code, moduleType: 'js' };
  },
};

// Without the element name, `[dir=ltr]` would also match inside the left-to-right spans of an Arabic page.
const mirror = rtlcss({ mode: 'combined', ltrPrefix: 'html[dir="ltr"]', rtlPrefix: 'html[dir="rtl"]', bothPrefix: 'html[dir]' });

export default defineConfig(({ mode }) => {
  const till = mode !== 'office';
  const name = till ? 'app' : 'office';
  return {
    base: './',
    publicDir: false,
    plugins: till ? [keysOnce, definedNames, classicScript] : [],
    css: { postcss: { plugins: [mirror] } },
    build: {
      outDir: 'dist',
      emptyOutDir: till,
      target: till ? 'es2015' : 'es2020',
      cssTarget: till ? 'chrome60' : 'chrome100',
      cssCodeSplit: false,
      modulePreload: false,
      assetsInlineLimit: 0,
      reportCompressedSize: false,
      rolldownOptions: {
        input: till ? 'till.html' : 'office.html',
        output: {
          codeSplitting: false,
          entryFileNames: `${name}.js`,
          assetFileNames: (asset) => asset.names.some((file) => file.endsWith('.css')) ? `${name}.css` : 'fonts/[name][extname]',
        },
      },
    },
    test: { environment: 'jsdom', include: ['test/**/*.test.{ts,tsx}'] },
  };
});
