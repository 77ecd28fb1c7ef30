import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Command } from '../bindings/Command';
import type { IncidentView } from '../bindings/IncidentView';
import type { KeyStorage } from '../bindings/KeyStorage';
import type { NoticeReason } from '../bindings/NoticeReason';
import type { NoticeView } from '../bindings/NoticeView';
import type { RecoveredView } from '../bindings/RecoveredView';
import type { StreamView } from '../bindings/StreamView';
import { formatQuantity, formatTime } from '../shared/format';
import { Icon, Ltr } from '../shared/parts';
import { Bar, SheetFrame } from './controls';
import { Fact } from './reports';
import { ask, closeSheet, go, openSheet, refresh, run, runApproved, status } from './state';
import { codeText, t, tx, type TillKey } from './texts';

const KEYS: Record<KeyStorage, TillKey> = { none: 'system_key_none', software: 'system_key_software', os: 'system_key_os' };

/** What is wrong with the disk, over every screen until it is right again. */
export function StorageBar() {
  const now = status.value;
  const storage = now && now.storage;
  if (!now || !storage) return null;
  const key: TillKey | null = storage.read_only ? 'read_only_banner' : storage.full ? 'disk_full_banner' : storage.low_disk ? 'disk_low_banner' : null;
  if (!key) return null;
  const bad = storage.read_only || storage.full;
  return <div class="storage-bar" role={bad ? 'alert' : 'status'}><button type="button" class={bad ? 'note bad tap' : 'note wait tap'} data-testid="storage-banner" disabled={!now.user} onClick={() => go({ at: 'system' })}>
    <Icon name="alert" /><span>{t(key)}</span></button></div>;
}

const NOTICES: Record<NoticeReason, TillKey> = {
  restored: 'notice_restored', cloned: 'notice_cloned', rolled_back: 'notice_rolled_back', damaged: 'notice_damaged',
  witness_missing: 'notice_witness_missing', ledger_missing: 'notice_ledger_missing',
};

function noticeText(notice: NoticeView): ComponentChildren {
  return tx(NOTICES[notice.reason], { at: <Ltr>{formatTime(notice.at)}</Ltr> });
}

function NoticeBody({ id }: { id: number }) {
  const notice = status.value?.notice;
  if (!notice) return null;
  return <SheetFrame id={id} title={t('notice_title')}><div class="sheet-body" data-testid="notice">
    <p class="lead"><b>{noticeText(notice)}</b></p>
    {notice.ended && notice.series ? <p class="lead">{tx('notice_series', { ended: <Ltr>{notice.ended}</Ltr>, series: <Ltr>{notice.series}</Ltr> })}</p> : null}
    {notice.lost ? <p class="note bad"><Icon name="alert" /><span>{tx('notice_lost', { lost: <Ltr>{notice.lost}</Ltr> })}</span></p> : null}
    {notice.streams ? <Fact label={t('notice_streams')}><Ltr>{notice.streams}</Ltr></Fact> : null}
    <button type="button" class="btn go wide tall" data-testid="notice-understood" onClick={() => {
      closeSheet(id);
      runApproved((approval) => ({ type: 'AcknowledgeNotice', approval }), t('notice_understood')).then(() => refresh());
    }}>{t('notice_understood')}</button>
  </div></SheetFrame>;
}

/** What became of the ledger, over every screen until a manager has taken note. */
export function NoticeBar() {
  const now = status.value;
  const notice = now && now.notice;
  if (!now || !notice) return null;
  return <div class="storage-bar" role="alert"><button type="button" class="note bad tap" data-testid="notice-banner" data-reason={notice.reason} disabled={!now.user} onClick={() => { const id = openSheet(() => <NoticeBody id={id} />); }}>
    <Icon name="alert" /><span>{noticeText(notice)}</span></button></div>;
}

/** The fiscal archive of some days, or of all of them when none are named. */
function Archive({ last, working }: { last: string | null; working: boolean }) {
  const [from, setFrom] = useState('');
  const [until, setUntil] = useState('');
  const reversed = from !== '' && until !== '' && from > until;
  return <section><h2>{t('system_archive')}</h2>
    {last ? <Fact label={t('system_last_archive')}><span data-testid="last-archive"><Ltr>{last}</Ltr></span></Fact> : null}
    <label class="fact"><span>{t('system_archive_from')}</span><input class="input" type="date" data-testid="archive-from" value={from} onInput={(event) => setFrom(event.currentTarget.value)} /></label>
    <label class="fact"><span>{t('system_archive_until')}</span><input class="input" type="date" data-testid="archive-until" value={until} onInput={(event) => setUntil(event.currentTarget.value)} /></label>
    <button type="button" class="btn wide" data-testid="export-archive" disabled={working || reversed} onClick={() => {
      runApproved((approval) => ({ type: 'ExportArchive', from: from || null, until: until || null, approval }), t('system_archive_write')).then(() => refresh());
    }}>{working ? t('system_working') : t('system_archive_write')}</button></section>;
}

/** Journals of before that are kept, and taking over what one of them holds and this till does not know. */
function Streams() {
  const [streams, setStreams] = useState<StreamView[]>([]);
  const [path, setPath] = useState('');
  const [done, setDone] = useState<RecoveredView | null>(null);
  const load = () => run({ type: 'ListStreams' }).then((reply) => { if (reply && reply.type === 'Streams') setStreams(reply.streams); });
  useEffect(() => { load(); }, []);
  const recover = (file: string) => runApproved((approval) => ({ type: 'RecoverStream', file, approval }), t('system_recover')).then((reply) => {
    if (reply && reply.type === 'Recovered') { setDone(reply); refresh(); }
  });
  const rows: [TillKey, number][] = done ? [['system_recovered_events', done.events], ['system_recovered_receipts', done.receipts], ['system_recovered_known', done.known],
    ['system_recovered_refused', done.refused], ['system_recovered_supplements', done.supplements]] : [];
  return <section data-testid="streams"><h2>{t('system_streams')}</h2>
    {streams.length ? null : <p>{t('system_no_streams')}</p>}
    {streams.map((stream) => <div key={stream.file} data-testid="stream" data-file={stream.file}>
      <Fact label={<Ltr>{stream.series || stream.file}</Ltr>}>{stream.until ? tx('system_stream_until', { at: <Ltr>{formatTime(stream.until)}</Ltr> }) : t('system_stream_unreadable')}</Fact>
      {stream.events ? <p>{tx('system_stream_events', { n: <Ltr>{stream.events}</Ltr> })}</p> : null}
      <button type="button" class="btn wide" data-testid="recover-stream" onClick={() => recover(stream.file)}>{t('system_recover')}</button></div>)}
    <label class="fact"><span>{t('system_recover_path')}</span><input class="input" dir="ltr" autocomplete="off" data-testid="recover-path" value={path} onInput={(event) => setPath(event.currentTarget.value)} /></label>
    <button type="button" class="btn wide" data-testid="recover-file" disabled={path.trim() === ''} onClick={() => recover(path.trim())}>{t('system_recover')}</button>
    {done ? <div class="note ok" role="status" data-testid="recovered"><Icon name="check" /><span>{tx('system_recovered', { series: <Ltr>{done.series}</Ltr> })}</span></div> : null}
    {rows.map(([key, n]) => <Fact key={key} label={t(key)}><span data-testid={key}><Ltr>{n}</Ltr></span></Fact>)}</section>;
}

/** What was settled by itself in this store and a person should look at; head office closes it. */
function Incidents() {
  const [rows, setRows] = useState<IncidentView[]>([]);
  useEffect(() => {
    run({ type: 'ListIncidents' }).then((reply) => { if (reply && reply.type === 'Incidents') setRows(reply.incidents); });
  }, []);
  return <section data-testid="incidents" data-count={rows.length}><h2>{t('incidents')}</h2>
    {rows.length ? null : <p>{t('incidents_none')}</p>}
    {rows.map((row, index) => <div key={index} data-testid="incident" data-kind={row.kind}>
      <Fact label={t(`incident_${row.kind}`)}><Ltr>{formatTime(row.at)}</Ltr></Fact>
      <p>{row.sku ? <Ltr>{row.sku}{row.quantity !== null ? ` × ${formatQuantity(row.quantity)}` : ''} </Ltr> : null}
        {row.number ? <Ltr>{row.number}</Ltr> : row.till ? tx('till_no', { till: <Ltr>{row.till}</Ltr> }) : null}</p></div>)}</section>;
}

/** Copies, checks and the disk: what keeps the till's books safe. */
export function System() {
  const storage = status.value?.storage;
  const [begun, setBegun] = useState(false);
  const working = begun || (!!storage && storage.working);
  // The outcome shows in the status: a copy is often done within a moment.
  useEffect(() => {
    if (!working) return undefined;
    const timer = setInterval(refresh, 500);
    return () => clearInterval(timer);
  }, [working]);
  if (!storage) return null;
  // It works from the tap on: a status that was under way says that nothing does yet.
  const start = (command: Command) => {
    setBegun(true);
    run(command).then(() => ask({ type: 'Status' })).then(() => setBegun(false));
  };
  const check = storage.last_check;
  return <div class="app"><Bar title={t('system')} back={() => go({ at: 'home' })} />
    <main class="scroll narrow settings" data-testid="system" data-working={working}>
      {storage.problem ? <p class="note bad" role="alert" data-testid="system-problem"><Icon name="alert" /><span>{codeText(storage.problem)}</span></p> : null}
      <section><h2>{t('system_backups')}</h2>
        <Fact label={t('system_last_backup')}><span data-testid="last-backup">{storage.last_backup_at ? <Ltr>{formatTime(storage.last_backup_at)}</Ltr> : t('system_no_backup')}</span></Fact>
        <Fact label={t('system_kept')}><span data-testid="backups" data-count={storage.backups}><Ltr>{storage.backups}</Ltr></span></Fact>
        <button type="button" class="btn wide" data-testid="backup-now" disabled={working} onClick={() => start({ type: 'BackupNow' })}>{working ? t('system_working') : t('system_backup_now')}</button></section>
      <section><h2>{t('system_journal')}</h2>
        {check ? <Fact label={t('system_last_check')}><Ltr>{formatTime(check.at)}</Ltr></Fact> : null}
        {check ? <p class={check.ok ? 'note ok' : 'note bad'} data-testid="last-check" data-ok={check.ok}><Icon name={check.ok ? 'check' : 'alert'} /><span>{t(check.ok ? 'system_check_ok' : 'system_check_bad')}{check.what ? [' ', <bdi>{check.what}</bdi>] : null}</span></p> : null}
        <button type="button" class="btn wide" data-testid="verify-ledger" disabled={working} onClick={() => start({ type: 'VerifyLedger' })}>{working ? t('system_working') : t('system_verify')}</button></section>
      <Incidents />
      <Archive last={storage.last_archive} working={working} />
      <Streams />
      <section><h2>{t('system_files')}</h2>
        <Fact label={t('system_encrypted')}><span data-testid="key-storage" data-key={storage.key_storage}>{t(KEYS[storage.key_storage])}</span></Fact>
        {storage.disk_free_mb !== null ? <Fact label={t('system_disk_free')}>{tx('system_megabytes', { n: <Ltr>{storage.disk_free_mb}</Ltr> })}</Fact> : null}</section>
    </main></div>;
}
