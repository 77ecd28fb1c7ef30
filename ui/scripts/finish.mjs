// After both builds: the till is also the window's start page, and the fonts' licence travels with them.
import { copyFileSync } from 'node:fs';

copyFileSync('dist/till.html', 'dist/index.html');
copyFileSync('node_modules/@fontsource/noto-sans/LICENSE', 'dist/fonts/OFL.txt');
