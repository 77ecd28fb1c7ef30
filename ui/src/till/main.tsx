import '../polyfill';
import { render } from 'preact';
import '../shared/fonts.css';
import '../shared/tokens.css';
import './till.css';
import { rememberedLang } from '../shared/i18n';
import { scan } from './actions';
import { App, guardScreens } from './app';
import { askApprovalSheet } from './controls';
import { pressKey } from './keys';
import { showLang } from './languages';
import { applyTheme } from './menu';
import { listenKeys } from './scanner';
import { approveWith, explainWith, start, tapsGuarded, wide } from './state';
import { codeText, t } from './texts';
import { connect } from './transport';

/** Oldest engine we promise to run on: below it Tauri's own script does not parse either. */
const CHROMIUM_MIN = 60;

function boot(): void {
  const root = document.getElementById('app');
  if (!root) return;
  const engine = /Chrom(?:e|ium)\/(\d+)/.exec(navigator.userAgent);
  if (engine && Number(engine[1]) < CHROMIUM_MIN) {
    root.textContent = t('too_old');
    return;
  }
  let look: string | null = null;
  try { look = localStorage.getItem('hanout.theme'); } catch (_) { /* light */ }
  applyTheme(look === 'dark' ? 'dark' : 'light');

  const query = window.matchMedia('(min-width: 900px)');
  const fit = () => { wide.value = query.matches; };
  fit();
  query.addListener(fit);

  document.addEventListener('click', (event) => {
    if (!tapsGuarded()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  // The focus ring is for keyboards: :focus-visible is younger than the oldest engine.
  document.addEventListener('mousedown', () => document.documentElement.setAttribute('data-pointer', ''), true);
  document.addEventListener('keydown', () => document.documentElement.removeAttribute('data-pointer'), true);

  explainWith((refusal) => codeText(refusal.code, refusal.params));
  approveWith(askApprovalSheet);
  guardScreens();
  listenKeys({ scan, key: pressKey });
  render(<App />, root);
  start(connect());
}

showLang(rememberedLang()).then(boot);
