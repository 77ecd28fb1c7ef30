import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { PrinterTarget } from '../bindings/PrinterTarget';
import type { Settings as SettingsOfTill } from '../bindings/Settings';
import { LANGS, lang, nameOf } from '../shared/i18n';
import { Icon, Langs, Ltr, type IconName } from '../shared/parts';
import { setLang } from './actions';
import { Bar, SheetFrame } from './controls';
import { openResetPin } from './entry';
import { useKeysUnderChildren } from './keys';
import { reprintLast } from './receipts';
import { ask, closeSheet, closeSheets, go, openSheet, refresh, run, say, sheets, status } from './state';
import { ageText, codeText, t, tx } from './texts';

const langNames = () => ({ fr: t('lang_fr'), ar: t('lang_ar'), en: t('lang_en') });

function Item({ icon, id, act, children, note }: { icon: IconName; id: string; act: () => void; children: ComponentChildren; note?: ComponentChildren }) {
  return <button type="button" class="menu-item" data-testid={id} onClick={() => { closeSheets(); act(); }}><Icon name={icon} /><span>{children}</span>{note ? <span class="count-badge in">{note}</span> : null}</button>;
}

function MenuBody({ id }: { id: number }) {
  useKeysUnderChildren(({ key }) => {
    if (key === 'Escape') closeSheet(id);
    return true;
  });
  const now = status.value;
  if (!now || !now.user) return null;
  const inShift = now.shift !== null;
  return <nav class="drawer" aria-label={t('menu')}>
    <div class="drawer-head"><span class="face" aria-hidden="true">{now.user.name.charAt(0)}</span>
      <span class="who"><b>{now.user.name}</b><span class="quiet">{now.store ? nameOf(now.store.name) : ''}{' · '}{tx('till_no', { till: <Ltr>{now.till}</Ltr> })}</span></span>
      <button type="button" class="ib" aria-label={t('close')} data-testid="sheet-close" onClick={() => closeSheet(id)}><Icon name="cross" /></button></div>
    <div class="scroll">
      <Item icon="receipt" id="receipts" act={() => go({ at: 'receipts' })}>{t('receipts')}</Item>
      <Item icon="print" id="reprint-last" act={reprintLast}>{t('reprint_last')}</Item>
      {inShift || (now.store && now.store.drawers > 1) ? <Item icon="drawer" id="drawer" act={() => go({ at: 'drawer' })}>{t('drawer_title')}</Item> : null}
      <Item icon="store" id="stock" act={() => go({ at: 'stock' })}>{t('stock')}</Item>
      <Item icon="chart" id="reports" act={() => go({ at: 'reports' })}>{t('reports')}</Item>
      {inShift ? <Item icon="lock" id="close-shift" act={() => go({ at: 'close' })}>{t('shift_close_title')}</Item> : null}
      <hr />
      <Item icon="print" id="prints" act={() => go({ at: 'prints' })} note={now.printer.uncertain || null}>{t('prints')}</Item>
      <Item icon="key" id="reset-pin" act={openResetPin}>{t('reset_pin')}</Item>
      <Item icon="safe" id="system" act={() => go({ at: 'system' })}>{t('system')}</Item>
      <Item icon="gear" id="settings" act={() => go({ at: 'settings' })}>{t('settings')}</Item>
      <Item icon="out" id="sign-out" act={() => run({ type: 'SignOut' }).then(() => refresh())}>{t('sign_out')}</Item>
    </div>
    <div class="drawer-foot"><Langs names={langNames()} pick={setLang} /><p class="quiet small center">{tx('settings_about', { version: <Ltr>{now.app}</Ltr> })}</p></div>
  </nav>;
}

export function openMenu(): void {
  if (sheets.value.length) return;
  const id = openSheet(() => <MenuBody id={id} />);
}

function SyncBody({ id }: { id: number }) {
  const now = status.value;
  if (!now) return null;
  const sync = now.sync;
  return <SheetFrame id={id} title={t('sync_title')}><div class="sheet-body">
    <p class="quiet lead">{t('sync_hint')}</p>
    {sync.problem ? <p class="note bad"><Icon name="alert" /><span>{codeText(sync.problem)}</span></p> : null}
    <div class="fact"><span>{t('sync_waiting')}</span><b><Ltr>{sync.unsynced}</Ltr></b></div>
    {sync.oldest_age_ms !== null ? <div class="fact"><span>{t('sync_oldest')}</span><b>{tx('sync_ago', { time: ageText(sync.oldest_age_ms) })}</b></div> : null}
    <div class="fact"><span>{t('sync_contact')}</span><b>{sync.last_contact_age_ms === null ? t('sync_never') : tx('sync_ago', { time: ageText(sync.last_contact_age_ms) })}</b></div>
    <div class="fact"><span>{t('variants_known')}</span><b><Ltr>{now.variants}</Ltr></b></div>
    <button type="button" class="btn wide" data-testid="sync-now" onClick={() => ask({ type: 'SyncNow' }).then(() => refresh())}>{t('sync_now')}</button>
  </div></SheetFrame>;
}

export function openSyncSheet(): void {
  const id = openSheet(() => <SyncBody id={id} />);
}

function theme(): string {
  return document.documentElement.getAttribute('data-theme') || 'light';
}

export function applyTheme(next: string): void {
  document.documentElement.setAttribute('data-theme', next);
  try { localStorage.setItem('hanout.theme', next); } catch (_) { /* chosen again next time */ }
}

function Choice<T extends string>({ options, now, pick, id }: { options: [T, ComponentChildren][]; now: T; pick: (value: T) => void; id: string }) {
  return <div class="langs" role="group">{options.map(([value, label]) => <button key={value} type="button" class={value === now ? 'on' : ''} aria-pressed={value === now} data-testid={id + '-' + value} onClick={() => pick(value)}>{label}</button>)}</div>;
}

export function Settings() {
  const [settings, setSettings] = useState<SettingsOfTill | null>(null);
  const [address, setAddress] = useState('');
  const [tcp, setTcp] = useState(false);
  const [look, setLook] = useState(theme());
  const take = (next: SettingsOfTill) => {
    setSettings(next);
    setTcp(next.printer.type === 'tcp');
    if (next.printer.type === 'tcp') setAddress(next.printer.address);
  };
  useEffect(() => {
    run({ type: 'GetSettings' }).then((reply) => { if (reply && reply.type === 'Settings') take(reply); });
  }, []);
  const save = (change: Partial<SettingsOfTill>) => {
    if (!settings) return;
    const { receipt_language, printer, profile } = settings;
    const next = { language: lang.value, receipt_language, printer, profile, ...change };
    run({ type: 'SetSettings', settings: next }).then((reply) => {
      if (!reply) return;
      if (reply.type === 'Settings') take(reply);
      else take(next);
      say({ text: t('settings_saved') });
      refresh();
    });
  };
  const now = settings;
  return <div class="app"><Bar title={t('settings')} back={() => go({ at: 'home' })} />
    <main class="scroll narrow settings">
      <section><h2>{t('language')}</h2><Langs names={langNames()} pick={setLang} /></section>
      {now ? <section><h2>{t('settings_receipt_language')}</h2><Choice id="receipt-lang" now={now.receipt_language || 'store'} pick={(value) => save({ receipt_language: value === 'store' ? null : value })}
        options={[['store', t('settings_receipt_store')], ...LANGS.map((code): ['fr' | 'ar' | 'en', ComponentChildren] => [code, langNames()[code]])]} /></section> : null}
      {now ? <section><h2>{t('settings_printer')}</h2>
        <Choice id="printer" now={tcp ? 'tcp' : now.printer.type} pick={(value: PrinterTarget['type']) => {
          if (value === 'tcp') setTcp(true);
          else {
            setTcp(false);
            save({ printer: { type: value } });
          }
        }} options={[['none', t('settings_printer_none')], ['file', t('settings_printer_file')], ['tcp', t('settings_printer_tcp')]]} />
        {tcp ? <form class="park-form" onSubmit={(event) => { event.preventDefault(); save({ printer: { type: 'tcp', address: address.trim() } }); }}>
          <input class="input" dir="ltr" data-testid="printer-address" autocomplete="off" aria-label={t('settings_address')} placeholder="192.168.1.50:9100" value={address} onInput={(event) => setAddress(event.currentTarget.value)} />
          <button type="submit" class="btn" data-testid="printer-save" disabled={!address.trim()}>{t('save')}</button></form> : null}
        <h3>{t('settings_width')}</h3>
        <Choice id="profile" now={now.profile} pick={(profile) => save({ profile })} options={[['generic-58', <Ltr>58 mm</Ltr>], ['generic-80', <Ltr>80 mm</Ltr>]]} />
        <button type="button" class="btn wide test-print" data-testid="test-print" disabled={now.printer.type === 'none'} onClick={() => run({ type: 'TestPrint' }).then((reply) => { if (reply) say({ text: t('settings_test_sent') }); refresh(); })}><Icon name="print" />{t('settings_test')}</button>
      </section> : null}
      <section><h2>{t('settings_look')}</h2><Choice id="theme" now={look} pick={(value) => { applyTheme(value); setLook(value); }} options={[['light', t('settings_light')], ['dark', t('settings_dark')]]} /></section>
    </main></div>;
}
