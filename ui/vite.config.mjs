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

// French is part of the till's script; the texts of another language are a file of their own, loaded when it is chosen.
const textsApart = {
  name: 'texts-apart',
  generateBundle() {
    for (const code of ['ar', 'en']) {
      const read = (name) => JSON.parse(readFileSync(`i18n/${code}/${name}.json`, 'utf8'));
      const texts = { till: read('till'), refusal: read('refusal'), account: read('account') };
      this.emitFile({ type: 'asset', fileName: `texts-${code}.json`, source: JSON.stringify(texts) });
    }
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
    plugins: till ? [textsApart, definedNames, classicScript] : [],
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
