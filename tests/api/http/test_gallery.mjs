// The gallery in a real browser: headless Chromium, driven by playwright-core.
import assert from 'node:assert/strict';
import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {chromium} from 'playwright-core';
import {ask, model, startServer} from './server.mjs';
import {all, base64, picture} from './pictures.mjs';

const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-first-run'];
const skip = !program ? 'no Chromium here (Debian: apt-get install chromium)'
  : !existsSync(join(model, 'model.safetensors')) ? 'no model in models/starter' : false;
const PATIENCE_MS = 120000;
const desktop = {width: 1280, height: 800}, phone = {width: 390, height: 844};

async function openBrowser(server, size, scheme = 'light') {
  const profile = mkdtempSync(join(tmpdir(), 'akin-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program, args: flags, timeout: PATIENCE_MS, viewport: size, colorScheme: scheme, hasTouch: size === phone, isMobile: size === phone});
  context.setDefaultTimeout(PATIENCE_MS);
  const page = context.pages()[0] ?? await context.newPage();
  const seen = {errors: [], foreign: []};
  page.on('pageerror', (e) => seen.errors.push(e.message));
  page.on('console', (m) => { if (m.type() === 'error' && !/ 4\d\d /.test(m.text())) seen.errors.push(m.text()); });
  page.on('request', (r) => { if (!r.url().startsWith(server.url) && !/^(blob|data):/.test(r.url())) seen.foreign.push(r.url()); });
  const close = async () => {
    await context.close();
    rmSync(profile, {recursive: true, force: true});
  };
  return {page, seen, close};
}

// Names of the pictures, as a reader of the screen gets them.
const names = (page) => page.locator('#grid .tile').evaluateAll((tiles) => tiles.map((t) => t.querySelector('img')?.alt ?? t.textContent));
// Waits as long as a loaded machine may need; who fails waits in vain.
const until = async (what, check) => {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
    if (await check()) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  assert.fail(`never happened: ${what}`);
};
// The answer to the words in the address is on the page.
const answered = (page, words) => until(`"${words}" is answered`, async () =>
  (new URL(page.url()).searchParams.get('q') ?? '') === words && (await page.getAttribute('#results', 'aria-busy')) === 'false');
const first = (page, name) => until(`${name} comes first`, async () => (await names(page))[0] === name);

// Files as the page gets them when they are dropped at a place.
async function drop(page, target, files) {
  const transfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const [name, text] of list) data.items.add(new File([text], name, {type: 'image/svg+xml'}));
    return data;
  }, files);
  await page.dispatchEvent('body', 'dragenter', {dataTransfer: transfer});
  await page.waitForSelector('#drop:not([hidden])');
  await page.dispatchEvent(target, 'dragover', {dataTransfer: transfer});
  await page.dispatchEvent(target, 'drop', {dataTransfer: transfer});
}

describe('gallery', {skip}, () => {
  let server, browser, page;
  const evil = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>';

  before(async () => {
    server = await startServer();
    await ask(server, 'PUT', '/collections/shop', {});
    const points = all.map((p) => ({id: p.name, vector: {image: base64(p.data)}, caption: p.caption, payload: {colour: p.colour, shape: p.shape, n: p.caption.length}}));
    points.push({id: evil, vector: {image: base64(picture('circle', 'hotpink'))}, caption: evil, payload: {colour: evil + '!', shape: 'circle', [evil]: evil + '?'}});
    points.push({id: 'words only', caption: 'a poem about the sea', payload: {colour: 'none'}});
    assert.equal((await ask(server, 'PUT', '/collections/shop/points', {points})).body.status, 'ok');
    browser = await openBrowser(server, desktop);
    page = browser.page;
  });
  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0);
  });

  test('all pictures are there, under a strict policy, from this host alone', async () => {
    await page.goto(server.url);
    await until('14 tiles', async () => (await names(page)).length === 14);
    await until('13 pictures drawn', async () => (await page.locator('.tile img.there').count()) === 13);
    await until('how many there are', async () => (await page.locator('#status').textContent()) === '14 items');
    assert.equal(await page.title(), 'shop · akin');
  });

  test('words find pictures, at once and by the address', async () => {
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('/');
    await page.keyboard.type('a red '); // a pause behind a blank keeps the blank
    await until('it is asked', async () => new URL(page.url()).searchParams.get('q') === 'a red');
    await page.keyboard.type('circle');
    await until('the rest is asked', async () => new URL(page.url()).searchParams.get('q') === 'a red circle');
    await first(page, 'a red circle');
    await until('a status', async () => /found in/.test(await page.locator('#status').textContent()));
    await page.fill('#words', 'blue');
    await until('blue ones', async () => (await names(page)).slice(0, 3).every((n) => n.startsWith('a blue')));
    await page.click('#refine');
    await page.fill('#without', 'circle');
    await until('not circles', async () => !(await names(page))[0].includes('circle') && new URL(page.url()).searchParams.get('not') === 'circle');
    await page.reload();
    await answered(page, 'blue');
    assert.equal(await page.inputValue('#words'), 'blue');
    assert.equal(await page.inputValue('#without'), 'circle');
    await page.click('#home');
    await until('everything again', async () => (await names(page)).length === 14);
  });

  test('a picture is dropped, one is pasted, one is chosen', async () => {
    await drop(page, '.zone[data-zone=search]', [['x.svg', picture('triangle', 'green')]]);
    await first(page, 'a green triangle');
    assert.equal(await page.locator('.chip').count(), 1);
    await page.fill('#words', 'red');
    await page.waitForSelector('#balance:not([hidden])');
    await page.click('.chip button');
    await until('no chip', async () => (await page.locator('.chip').count()) === 0);
    await page.click('#home');
    await page.evaluate((text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], 'p.svg', {type: 'image/svg+xml'}));
      dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
    }, picture('square', 'gold'));
    await first(page, 'a gold square');
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#pick')]);
    await chooser.setFiles({name: 'c.svg', mimeType: 'image/svg+xml', buffer: Buffer.from(picture('square', 'blue'))});
    await first(page, 'a blue square');
    await page.click('#home');
  });

  test('filters with counts', async () => {
    await page.click('.filter[data-field=colour] button');
    const red = page.locator('.popover label', {hasText: 'red'});
    assert.equal(await red.locator('.count').textContent(), '3');
    await red.click();
    await until('three red ones', async () => (await names(page)).length === 3);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.popover').count(), 0);
    await page.click('.filter[data-field=shape] button');
    assert.equal(await page.locator('.popover label', {hasText: 'circle'}).locator('.count').textContent(), '1');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.filter.on').count(), 1);
    await page.goBack();
    await until('no filter after going back', async () => (await names(page)).length === 14);
  });

  test('an item: facts, neighbours, keys, more like this', async () => {
    await page.fill('#words', 'a red circle');
    await answered(page, 'a red circle');
    await first(page, 'a red circle');
    await page.focus('#words');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#item[open]');
    await until('facts', async () => (await page.locator('#item-facts').textContent()).includes('red'));
    assert.equal(await page.locator('#item-title').textContent(), 'a red circle');
    assert.match(await page.locator('#item-scores').textContent(), /match.*as a picture/);
    await until('neighbours', async () => (await page.locator('#item-near .tile').count()) === 8);
    await page.keyboard.press('ArrowRight');
    await until('the next one', async () => (await page.locator('#item-title').textContent()) !== 'a red circle');
    await page.keyboard.press('ArrowLeft');
    await until('the first one again', async () => (await page.locator('#item-title').textContent()) === 'a red circle');
    await page.click('#item-like');
    await until('others like it', async () => {
      const shown = await names(page);
      return (await page.locator('.chip').count()) === 1 && shown.length > 3 && !shown.includes('a red circle');
    });
    await page.goBack();
    await until('the words again', async () => (await page.inputValue('#words')) === 'a red circle');
    await page.goto(`${server.url}/?c=shop&item=${encodeURIComponent('"blue-circle.svg"')}`);
    await until('the item of the address', async () => (await page.locator('#item-title').textContent()) === 'a blue circle');
    await page.keyboard.press('Escape');
    await until('closed', async () => !(await page.locator('#item').evaluate((d) => d.open)));
  });

  test('texts are texts, whatever they say', async () => {
    await page.goto(server.url);
    await until('tiles', async () => (await names(page)).includes(evil));
    await page.locator('.tile', {has: page.locator(`img[alt*="onerror"]`)}).click();
    await until('its facts', async () => (await page.locator('#item-facts').textContent()).includes('<script>'));
    assert.equal(await page.locator('#item-title').textContent(), evil);
    await page.keyboard.press('Escape');
    await page.click('.filter[data-field=colour] button');
    await page.locator('.popover label', {hasText: 'onerror'}).click();
    await until('one', async () => (await names(page)).length === 1);
    await page.keyboard.press('Escape');
    await page.click('#about');
    await until('charts', async () => (await page.locator('.chart ol:not(.bars)').count()) > 1 && (await page.locator('.chart .bars').count()) === 1);
    assert.match(await page.locator('.chart .bars').getAttribute('aria-label'), /^n: from 12 to \d+, median 1\d$/);
    await page.keyboard.press('Escape');
    assert.doesNotMatch(await page.title(), /broken/);
    assert.equal(await page.locator('script:not([src]), img[src="x"]').count(), 0);
    await page.click('#home');
  });

  test('pictures are added, with what became of each', async () => {
    await drop(page, '.zone[data-zone=add]', [['new-square.svg', picture('square', 'purple')], ['bad.svg', 'no picture']]);
    await until('both told', async () => (await page.locator('#upload-sum').textContent()) === '1 added, 1 failed');
    assert.match(await page.locator('#uploads .why').textContent(), /expected a JPEG/);
    await page.keyboard.press('Escape');
    await until('it is shown', async () => (await names(page)).length === 15);
    await page.setInputFiles('#files', [{name: 'new-square.svg', mimeType: 'image/svg+xml', buffer: Buffer.from(picture('square', 'purple'))}]);
    await until('known', async () => (await page.locator('#upload-sum').textContent()) === '1 known already');
    await page.keyboard.press('Escape');
  });

  test('jobs are told as they run', async () => {
    await page.click('#activity');
    assert.match(await page.locator('#job-list').textContent(), /No jobs yet/);
    await ask(server, 'POST', '/collections/shop/rebuild');
    await until('the job', async () => /rebuild · shop.*done/.test(await page.locator('#job-list').textContent()));
    await page.keyboard.press('Escape');
  });

  test('many pictures come as one scrolls', async () => {
    const points = Array.from({length: 150}, (_, i) => ({id: i, vector: {image: base64(picture('circle', `rgb(${i % 200},${i},90)`))}, caption: `dot ${i}`}));
    await ask(server, 'PUT', '/collections/many', {});
    await ask(server, 'PUT', '/collections/many/points', {points});
    await page.goto(`${server.url}/?c=many`);
    await until('the first page', async () => (await names(page)).length >= 60);
    await until('all of them', async () => {
      await page.mouse.wheel(0, 4000);
      return (await names(page)).length >= 150;
    });
    const shown = await names(page);
    assert.equal(shown.length, 150);
    assert.equal(new Set(shown).size, 150);
    await page.selectOption('#collection', 'shop');
    await until('the other collection', async () => (await names(page)).length === 15);
  });

  test('duplicates are reviewed with the keyboard: told apart, taken back, thinned out', async () => {
    const points = [['circle', 'red'], ['triangle', 'blue']].flatMap(([shape, colour]) =>
      [1, 2, 3].map((i) => ({id: `${colour}/${i}.svg`, vector: {image: base64(picture(shape, colour))}})));
    await ask(server, 'PUT', '/collections/twins', {});
    await ask(server, 'PUT', '/collections/twins/points', {points: [...points, {id: 'other.svg', vector: {image: base64(all[1].data)}}]});
    const count = async () => (await ask(server, 'POST', '/collections/twins/points/count', {})).body.result.count;
    const groups = page.locator('#groups > li');
    const review = (what, text) => until(what, async () => text.test(await page.locator('#groups').innerText()));

    await page.goto(`${server.url}/?c=twins`);
    await until('7 tiles', async () => (await names(page)).length === 7);
    await page.click('#review');
    await until('two groups', async () => (await page.locator('#review-status').textContent()) === '2 groups');
    assert.match(page.url(), /duplicates=near/);
    assert.equal(await page.locator('#groups .member').count(), 6);
    assert.equal(await page.locator('#groups .member.best').count(), 2);
    assert.match(await groups.first().innerText(), /Exact[^]*3 pictures[^]*1\.svg[^]*red[^]*the same file, byte for byte/);
    await until('small pictures', () => page.locator('#groups img').evaluateAll((all) => all.every((i) => i.complete && i.naturalWidth > 0)));

    const at = (selector) => page.evaluate((s) => document.activeElement.matches(s), selector);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('ArrowDown');
    assert.ok(await at('#groups > li:nth-child(1)'));
    await page.keyboard.press('n');
    await review('told apart', /no duplicates of each other/);
    assert.ok(await at('#groups > li:nth-child(2)'), 'on to the next');
    assert.equal((await ask(server, 'POST', '/collections/twins/duplicates', {})).body.result.groups.length, 1);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('u');
    await until('taken back', async () => (await page.locator('#groups .member').count()) === 6);

    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    assert.ok(await at('#groups > li:nth-child(1) .member:nth-child(2) .tile'));
    await page.keyboard.press('k');
    await review('asked first', /Keep red\/2\.svg and take 2 other items out of the collection/);
    await page.keyboard.press('Escape');
    await until('not asked any more', async () => (await page.locator('.asking').count()) === 0);
    assert.equal(await count(), 7);
    await page.locator('.member:nth-child(2) .quiet').first().click();
    await page.keyboard.press('Enter');
    await review('one stays', /red\/2\.svg stays, 2 others left the collection/);
    assert.equal(await count(), 5);

    await page.locator('.member:nth-child(3) .tile').last().click();
    await until('an item', async () => (await page.locator('#item-title').textContent()) === 'blue/3.svg');
    await page.keyboard.press('Escape');
    await until('closed', async () => /duplicates=near$/.test(page.url()));
    await page.locator('#levels label', {hasText: 'Exact'}).click();
    await until('one group', async () => (await page.locator('#review-status').textContent()) === '1 group');
    await page.click('#review');
    await until('the pictures again, without the two', async () => (await names(page)).length === 5);
    await until('the right number', async () => (await page.locator('#status').textContent()) === '5 items');
    await page.goBack();
    await until('back to the review', async () => (await page.locator('#groups .member').count()) === 3);
    await page.fill('#words', 'green');
    await answered(page, 'green');
    assert.equal(await page.locator('#duplicates').isVisible(), false);
  });

  test('nothing went wrong unseen, nothing came from elsewhere', () => {
    assert.deepEqual(browser.seen.errors, []);
    assert.deepEqual(browser.seen.foreign, []);
  });

  for (const scheme of ['light', 'dark'])
    test(`on a phone, ${scheme}`, async () => {
      const small = await openBrowser(server, phone, scheme);
      try {
        await small.page.goto(server.url + '/?c=shop&q=red');
        await until('tiles', async () => (await names(small.page)).length === 15);
        assert.equal(await small.page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'nothing sticks out');
        await small.page.tap('.tile');
        await until('facts', async () => (await small.page.locator('#item-facts dt').count()) > 2);
        const box = await small.page.locator('#item').boundingBox();
        assert.ok(box.width <= 390 && box.y >= 0);
        await small.page.tap('#item [data-close]');
        await until('closed', async () => !(await small.page.locator('#item').evaluate((d) => d.open)));
        await small.page.tap('#review');
        await until('the review', async () => /\d+ group/.test(await small.page.locator('#review-status').textContent()));
        await small.page.locator('#levels label', {hasText: 'Exact'}).tap();
        await until('no duplicates', async () => /No duplicates/.test(await small.page.locator('#duplicates').innerText()));
        await small.page.goto(server.url + '/?c=twins&duplicates=exact');
        await until('a group', async () => (await small.page.locator('#groups .member').count()) === 3);
        assert.equal(await small.page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'nothing sticks out');
        const background = await small.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        assert.equal(/rgb\(2\d\d/.test(background), scheme === 'light', background);
        assert.deepEqual(small.seen.errors, []);
      } finally {
        await small.close();
      }
    });
});

describe('gallery with a password', {skip}, () => {
  test('asks once, then shows everything', async () => {
    const server = await startServer(['--requirepass', 'open sesame']);
    const browser = await openBrowser(server, desktop);
    try {
      const key = {'api-key': 'open sesame'};
      await ask(server, 'PUT', '/collections/shop', {}, key);
      await ask(server, 'PUT', '/collections/shop/points', {points: [{id: 1, vector: {image: base64(all[0].data)}, caption: all[0].caption}]}, key);
      await browser.page.goto(server.url);
      await browser.page.waitForSelector('#login[open]');
      await browser.page.fill('#password', 'wrong');
      await browser.page.keyboard.press('Enter');
      await browser.page.waitForSelector('#login-wrong:not([hidden])');
      await browser.page.fill('#password', 'open sesame');
      await browser.page.keyboard.press('Enter');
      await until('the picture', async () => (await browser.page.locator('.tile img.there').count()) === 1);
    } finally {
      await browser.close();
      assert.equal(await server.stop(), 0);
    }
  });
});
