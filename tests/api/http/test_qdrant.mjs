// The official client of Qdrant, unmodified, through its core calls.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {QdrantClient} from '@qdrant/js-client-rest';
import {ask, startServer} from './server.mjs';

const UUID = '5c56c793-69f3-4fbf-87e6-c4bf54c28c26';
const cities = [
  {id: 1, vector: [0.05, 0.61, 0.76, 0.74], payload: {city: 'Berlin', price: 1.99, tags: ['old', 'big'], day: '2024-05-01T10:00:00Z'}},
  {id: 2, vector: [0.19, 0.81, 0.75, 0.11], payload: {city: 'London', price: 3.5, tags: ['old'], day: '2024-06-01T10:00:00Z'}},
  {id: 3, vector: [0.36, 0.55, 0.47, 0.94], payload: {city: 'Moscow', price: 7, tags: [], nothing: null}},
  {id: 4, vector: [0.18, 0.01, 0.85, 0.80], payload: {city: 'New York', price: 20, count: 1000000, maker: {city: 'Oslo'}}},
  {id: 9007199254740991, vector: [0.24, 0.18, 0.22, 0.44], payload: {city: 'Beijing', price: 0.5, flag: true}},
  {id: UUID, vector: [0.35, 0.08, 0.11, 0.44], payload: {city: 'Mumbai'}},
];
let server, client;
const unit = (v) => v.map((x) => x / Math.hypot(...v));
const cosine = (a, b) => unit(a).reduce((sum, x, i) => sum + x * unit(b)[i], 0);
const probe = [0.2, 0.1, 0.9, 0.7];
const nearest = cities.toSorted((a, b) => cosine(probe, b.vector) - cosine(probe, a.vector));
const best = (n) => nearest.slice(0, n).map((c) => c.id);

before(async () => {
  server = await startServer();
  client = new QdrantClient({url: server.url});
});
after(async () => { assert.equal(await server?.stop(), 0); });

test('collections are created, listed, described, deleted', async () => {
  assert.deepEqual((await client.getCollections()).collections, []);
  assert.equal(await client.createCollection('cities', {vectors: {size: 4, distance: 'Cosine'}}), true);
  await client.createCollection('other', {vectors: {size: 3, distance: 'Cosine'}});
  assert.deepEqual((await client.getCollections()).collections.map((c) => c.name), ['cities', 'other']);
  assert.equal((await client.collectionExists('cities')).exists, true);
  assert.equal((await client.collectionExists('nowhere')).exists, false);
  const info = await client.getCollection('cities');
  assert.equal(info.status, 'green');
  assert.deepEqual(info.config.params.vectors, {size: 4, distance: 'Cosine'});
  assert.equal(await client.deleteCollection('other'), true);
  assert.equal(await client.deleteCollection('other'), false);
  await assert.rejects(client.createCollection('cities', {vectors: {size: 4, distance: 'Cosine'}}), {status: 409});
  await assert.rejects(client.createCollection('dot', {vectors: {size: 4, distance: 'Dot'}}), {status: 415});
  await assert.rejects(client.getCollection('nowhere'), {status: 404});
});

test('points are put and read back', async () => {
  const done = await client.upsert('cities', {wait: true, points: cities});
  assert.equal(done.status, 'completed');
  assert.equal((await client.getCollection('cities')).points_count, 6);
  const [london, uuid, ...rest] = await client.retrieve('cities', {ids: [2, UUID.toUpperCase(), 77], with_vector: true});
  assert.equal(rest.length, 0);
  assert.equal(london.id, 2);
  assert.deepEqual(london.payload, cities[1].payload);
  assert.equal(uuid.id, UUID);
  const norm = Math.hypot(...london.vector);
  assert.ok(Math.abs(norm - 1) < 1e-2, `unit length, got ${norm}`);
  const [part] = await client.retrieve('cities', {ids: [4], with_payload: ['maker.city', 'price']});
  assert.deepEqual(part.payload, {maker: {city: 'Oslo'}, price: 20});
  const [rest4] = await client.retrieve('cities', {ids: [4], with_payload: {exclude: ['maker', 'price']}});
  assert.deepEqual(rest4.payload, {city: 'New York', count: 1000000});
  await client.upsert('cities', {batch: {ids: [100, 101], vectors: [[1, 0, 0, 0], [0, 1, 0, 0]], payloads: [{a: 1}, {}]}});
  assert.equal((await client.count('cities')).count, 8);
  await client.delete('cities', {points: [100, 101]});
  assert.equal((await client.count('cities')).count, 6);
});

test('bad points are refused with a reason', async () => {
  const bad = async (points) => client.upsert('cities', {points});
  await assert.rejects(bad([{id: 1, vector: [1, 2, 3]}]), (e) => e.status === 400 && /dim/.test(JSON.stringify(e.data)));
  await assert.rejects(bad([{id: -1, vector: [1, 2, 3, 4]}]), {status: 400});
  await assert.rejects(bad([{id: 1, vector: [0, 0, 0, 0]}]), {status: 400});
  await assert.rejects(bad([{id: 1, vector: 'x'}]), {status: 400});
  await assert.rejects(client.upsert('nowhere', {points: cities}), {status: 404});
});

test('search, query by vector and by id', async () => {
  const hits = await client.search('cities', {vector: probe, limit: 3});
  assert.deepEqual(hits.map((h) => h.id), best(3));
  assert.deepEqual(hits[0].payload, cities[3].payload);
  assert.ok(Math.abs(hits[0].score - cosine(probe, nearest[0].vector)) < 1e-3, String(hits[0].score));
  const byQuery = await client.query('cities', {query: probe, limit: 3});
  assert.deepEqual(byQuery.points.map((h) => h.id), best(3));
  assert.equal(byQuery.points[0].payload, undefined);
  const byId = await client.query('cities', {query: 4, limit: 2, with_payload: true});
  assert.ok(!byId.points.some((p) => p.id === 4), 'the point itself is left out');
  const offset = await client.query('cities', {query: {nearest: probe}, limit: 2, offset: 1});
  assert.deepEqual(offset.points.map((h) => h.id), best(3).slice(1));
  const high = await client.query('cities', {query: probe, score_threshold: 0.99});
  assert.deepEqual(high.points.map((h) => h.id), [4]);
  await assert.rejects(client.query('cities', {query: 12345}), {status: 404});
  const lists = await client.queryBatch('cities', {searches: [{query: 1, limit: 1}, {query: [1, 0, 0, 0], limit: 2}]});
  assert.deepEqual(lists.map((l) => l.points.length), [1, 2]);
  const listed = await client.query('cities', {limit: 4, with_payload: true});
  assert.equal(listed.points.length, 4);
});

test('recommend, discover, fusion, groups', async () => {
  const like = await client.recommend('cities', {positive: [4], negative: [2], limit: 3});
  assert.equal(like.length, 3);
  assert.ok(!like.some((h) => h.id === 4 || h.id === 2));
  const wanted = unit(cities[3].vector).map((x, i) => 2 * x - unit(cities[1].vector)[i]);
  const order = cities.filter((c) => c.id !== 4 && c.id !== 2).toSorted((a, b) => cosine(wanted, b.vector) - cosine(wanted, a.vector));
  assert.deepEqual(like.map((h) => h.id), order.slice(0, 3).map((c) => c.id));
  assert.ok(Math.abs(like[0].score - cosine(wanted, order[0].vector)) < 1e-3);
  for (const strategy of ['best_score', 'sum_scores', 'average_vector']) {
    const {points} = await client.query('cities', {query: {recommend: {positive: [1, [0.1, 0.2, 0.3, 0.4]], negative: [2], strategy}}, limit: 2});
    assert.equal(points.length, 2, strategy);
    assert.ok(!points.some((p) => p.id === 1 || p.id === 2), 'examples are left out');
    assert.ok(points[0].score >= points[1].score);
  }
  const {points: found} = await client.query('cities', {query: {discover: {target: 1, context: [{positive: 3, negative: 2}]}}, limit: 3});
  assert.equal(found.length, 3);
  const fused = await client.query('cities', {
    prefetch: [{query: probe, limit: 3}, {query: 2, limit: 3}], query: {fusion: 'rrf'}, limit: 5, with_payload: true});
  assert.ok(fused.points.every((p) => p.payload.city));
  assert.ok(fused.points.length >= 3);
  assert.ok(fused.points[0].score > 0.4);
  const again = await client.query('cities', {prefetch: {query: 2, limit: 4}, query: probe, limit: 2});
  assert.equal(again.points[0].id, 4);
  for (const n of [1, 3, 5, 100000])
    for (const filter of [undefined, {must: [{has_id: [777]}]}])
      await assert.rejects(client.query('cities', {prefetch: {query: [1, 0, 0, 0], filter}, query: Array(n).fill(1)}),
        (e) => e.status === 400 && e.data.status.error.includes(`expected 4 dimensions, got ${n}`), `rescored by a vector of ${n}`);
  for (const query of [{formula: {sum: ['$score', 1]}}, {nearest: probe, mmr: {diversity: 0.5}}, {relevance_feedback: {}}])
    await assert.rejects(client.query('cities', {query}), {status: 415}, JSON.stringify(query));
  const context = await client.query('cities', {query: {context: [{positive: 4, negative: 2}]}, limit: 3});
  assert.equal(context.points.length, 3);
  const batches = await client.recommendBatch('cities', {searches: [{positive: [4], limit: 1}, {positive: [2], limit: 2}]});
  assert.deepEqual(batches.map((b) => b.length), [1, 2]);
  const old = await client.searchBatch('cities', {searches: [{vector: probe, limit: 1}, {vector: probe, limit: 3}]});
  assert.deepEqual(old.map((b) => b.map((h) => h.id)), [best(1), best(3)]);
  const pairs = await client.discoverPoints('cities', {target: 1, context: [{positive: 3, negative: 2}], limit: 2});
  assert.equal(pairs.length, 2);
  assert.equal((await client.discoverBatchPoints('cities', {searches: [{target: 1, limit: 1}]})).length, 1);
  await assert.rejects(client.queryGroups('cities', {query: probe, group_by: 'city', with_lookup: 'other'}), {status: 415});
  const {groups} = await client.queryGroups('cities', {query: probe, group_by: 'city', group_size: 1, limit: 3});
  assert.deepEqual(groups.map((g) => g.id), nearest.slice(0, 3).map((c) => c.payload.city));
  assert.equal(groups[0].hits[0].id, 4);
});

test('groups are found behind many hits of another group', async () => {
  await client.createCollection('grouped', {vectors: {size: 2, distance: 'Cosine'}});
  const points = Array.from({length: 300}, (_, i) => ({id: i, vector: [1, i / 1000], payload: {group: 'near', list: [i % 2, 7]}}));
  points.push({id: 1000, vector: [0, 1], payload: {group: 'far'}});
  await client.upsert('grouped', {points});
  const {groups} = await client.searchPointGroups('grouped', {vector: [1, 0], group_by: 'group', group_size: 1, limit: 2});
  assert.deepEqual(groups.map((g) => [g.id, g.hits[0].id]), [['near', 0], ['far', 1000]]);
  const byList = await client.searchPointGroups('grouped', {vector: [1, 0], group_by: 'list', group_size: 2, limit: 3});
  assert.deepEqual(byList.groups.map((g) => [g.id, g.hits.map((h) => h.id)]), [[0, [0, 2]], [7, [0, 1]], [1, [1, 3]]]);
  await client.deleteCollection('grouped');
});

const ids = async (filter) => (await client.scroll('cities', {filter, limit: 100})).points.map((p) => p.payload.city).sort();

test('filters', async () => {
  const must = (...conditions) => ids({must: conditions});
  const key = (name, rest) => must({key: name, ...rest});
  assert.deepEqual(await key('city', {match: {value: 'Berlin'}}), ['Berlin']);
  assert.deepEqual(await key('city', {match: {value: 'Ber'}}), []);
  assert.deepEqual(await key('tags', {match: {value: 'old'}}), ['Berlin', 'London']);
  assert.deepEqual(await key('city', {match: {any: ['Berlin', 'Mumbai']}}), ['Berlin', 'Mumbai']);
  assert.deepEqual(await key('tags', {match: {any: ['big']}}), ['Berlin']);
  assert.deepEqual(await key('city', {match: {except: ['Berlin', 'Mumbai', 'London']}}), ['Beijing', 'Moscow', 'New York']);
  assert.deepEqual(await key('tags', {match: {except: ['old']}}), ['Berlin'], 'big is an element that is not old');
  assert.deepEqual(await key('city', {match: {text: 'New'}}), ['New York']);
  assert.deepEqual(await key('city', {match: {phrase: 'New York'}}), ['New York']);
  assert.deepEqual(await key('city', {match: {phrase: 'York New'}}), []);
  assert.deepEqual(await key('city', {match: {text: 'York New'}}), ['New York']);
  assert.deepEqual(await key('price', {is_empty: false}), ['Beijing', 'Berlin', 'London', 'Moscow', 'New York']);
  assert.deepEqual(await key('nothing', {is_null: true}), ['Moscow']);
  assert.deepEqual(await key('flag', {match: {value: true}}), ['Beijing']);
  assert.deepEqual(await key('price', {range: {gte: 1.99, lt: 7}}), ['Berlin', 'London']);
  assert.deepEqual(await key('maker.city', {match: {value: 'Oslo'}}), ['New York']);
  assert.deepEqual(await key('day', {range: {gt: '2024-05-15T00:00:00Z'}}), ['London']);
  assert.deepEqual(await key('tags', {values_count: {gte: 2}}), ['Berlin']);
  assert.deepEqual(await key('tags', {values_count: {lt: 2}}), ['Beijing', 'London', 'Moscow', 'Mumbai', 'New York']);
  assert.deepEqual(await must({is_empty: {key: 'tags'}}), ['Beijing', 'Moscow', 'Mumbai', 'New York']);
  assert.deepEqual(await must({is_null: {key: 'nothing'}}), ['Moscow']);
  assert.deepEqual(await must({has_id: [1, UUID]}), ['Berlin', 'Mumbai']);
  assert.deepEqual(await ids({must_not: [{has_id: [1, 2, 3, UUID]}]}), ['Beijing', 'New York']);
  assert.deepEqual(await ids({must_not: [{key: 'price', range: {gte: 1}}]}), ['Beijing', 'Mumbai']);
  assert.deepEqual(await ids({must_not: [{key: 'price', range: {gte: 1}}, {key: 'city', match: {value: 'Mumbai'}}]}), ['Beijing']);
  assert.deepEqual(await ids({should: [{key: 'city', match: {value: 'London'}}, {key: 'price', range: {gt: 10}}]}), ['London', 'New York']);
  assert.deepEqual(await ids({must: [{key: 'price', range: {gt: 1}}], must_not: [{key: 'city', match: {value: 'Moscow'}}],
    should: [{must: [{key: 'tags', match: {value: 'big'}}]}, {key: 'count', match: {value: 1000000}}]}), ['Berlin', 'New York']);
  assert.deepEqual(await ids({min_should: {conditions: [{key: 'tags', match: {value: 'big'}}, {key: 'tags', match: {value: 'old'}},
    {key: 'price', range: {lt: 2}}], min_count: 2}}), ['Berlin']);
  assert.equal((await client.count('cities', {filter: {must: [{key: 'price', range: {lt: 5}}]}})).count, 3);
  const filtered = await client.search('cities', {vector: probe, limit: 10,
    filter: {must: [{key: 'tags', match: {value: 'old'}}]}});
  assert.deepEqual(filtered.map((h) => h.id), [1, 2]);
  await assert.rejects(client.count('cities', {filter: {must: [{key: 'a', geo_radius: {}}]}}), {status: 415});
  await assert.rejects(client.count('cities', {filter: {musty: []}}), {status: 400});
});

test('facets count values, also of lists, also under a filter', async () => {
  const facet = async (key, filter) => Object.fromEntries((await client.facet('cities', {key, filter})).hits.map((h) => [h.value, h.count]));
  assert.deepEqual(await facet('tags'), {old: 2, big: 1});
  assert.deepEqual(await facet('tags', {must: [{key: 'price', range: {gt: 2}}]}), {old: 1});
  assert.deepEqual(await facet('flag'), {true: 1});
  assert.deepEqual(await facet('maker.city'), {Oslo: 1});
  assert.deepEqual(await facet('maker'), {});
  assert.deepEqual(await facet('nowhere'), {});
  const {result} = (await ask(server, 'GET', '/collections/cities/fields')).body;
  assert.deepEqual(result.fields[0], {name: 'city', type: 'text', sampled: 6});
  assert.equal(result.fields.find((f) => f.name === 'tags').type, 'array');
});

test('fields get an index, vectors are replaced alone', async () => {
  for (const [field_name, field_schema] of [['price', 'float'], ['city', 'keyword'], ['tags', {type: 'keyword'}], ['day', 'datetime']])
    assert.equal((await client.createPayloadIndex('cities', {field_name, field_schema, wait: true})).status, 'completed');
  const {payload_schema} = await client.getCollection('cities');
  assert.equal(payload_schema.price.data_type, 'float');
  assert.deepEqual(Object.keys(payload_schema).sort(), ['city', 'day', 'price', 'tags']);
  await assert.rejects(client.createPayloadIndex('cities', {field_name: 'price', field_schema: 'keyword'}), {status: 409});
  await assert.rejects(client.createPayloadIndex('cities', {field_name: 'x', field_schema: 'geo'}), {status: 400});
  assert.deepEqual(await ids({must: [{key: 'tags', match: {value: 'old'}}]}), ['Berlin', 'London']);
  await client.updateVectors('cities', {points: [{id: 2, vector: [0, 0, 0, 1]}]});
  const [point] = await client.retrieve('cities', {ids: [2], with_vector: true});
  assert.deepEqual(point.payload, cities[1].payload);
  assert.deepEqual(point.vector, [0, 0, 0, 1]);
  await assert.rejects(client.updateVectors('cities', {points: [{id: 4711, vector: [0, 0, 0, 1]}]}), {status: 404});
  await client.updateVectors('cities', {points: [{id: 2, vector: cities[1].vector}]});
});

test('a field loses its index, and filters go on working', async () => {
  assert.equal((await client.deletePayloadIndex('cities', 'price')).status, 'completed');
  assert.equal((await client.deletePayloadIndex('cities', 'tags')).status, 'completed');
  assert.equal((await client.deletePayloadIndex('cities', 'price')).status, 'completed', 'again: nothing to do');
  assert.deepEqual(Object.keys((await client.getCollection('cities')).payload_schema).sort(), ['city', 'day']);
  assert.deepEqual(await ids({must: [{key: 'price', range: {lt: 2}}]}), ['Beijing', 'Berlin']);
  assert.deepEqual(await ids({must: [{key: 'tags', match: {value: 'big'}}]}), ['Berlin']);
  await client.createPayloadIndex('cities', {field_name: 'price', field_schema: 'keyword'});
  await client.deletePayloadIndex('cities', 'price');
  await assert.rejects(client.deletePayloadIndex('nowhere', 'price'), {status: 404});
});

test('vectors are deleted alone, and put back', async () => {
  const found = async () => (await client.query('cities', {query: probe, limit: 10})).points.map((p) => p.id);
  assert.equal((await client.deleteVectors('cities', {points: [4], vector: ['']})).status, 'completed');
  assert.ok(!(await found()).includes(4));
  const [bare] = await client.retrieve('cities', {ids: [4], with_vector: true});
  assert.deepEqual(bare.vector, {});
  assert.deepEqual(bare.payload, cities[3].payload);
  assert.equal((await client.count('cities')).count, 6);
  await client.updateVectors('cities', {points: [{id: 4, vector: cities[3].vector}]});
  assert.equal((await found())[0], 4);
  await client.deleteVectors('cities', {filter: {must: [{key: 'city', match: {any: ['Berlin', 'London']}}]}, vector: ['image', 'caption']});
  assert.deepEqual((await found()).filter((id) => id === 1 || id === 2), []);
  await client.batchUpdate('cities', {operations: [
    {update_vectors: {points: [{id: 1, vector: cities[0].vector}, {id: 2, vector: cities[1].vector}]}},
    {delete_vectors: {points: [3], vector: ['']}},
    {update_vectors: {points: [{id: 3, vector: cities[2].vector}]}}]});
  assert.deepEqual(await found(), nearest.map((c) => c.id));
  await assert.rejects(client.deleteVectors('cities', {points: [4], vector: ['fast']}), {status: 400});
  await assert.rejects(client.deleteVectors('cities', {points: [4], vector: []}), {status: 400});
  await assert.rejects(client.deleteVectors('cities', {vector: ['']}), {status: 400});
});

test('scroll in the order of a field', async () => {
  const names = async (order_by, more = {}) => (await client.scroll('cities', {order_by, ...more})).points.map((p) => p.payload.city);
  assert.deepEqual(await names('price'), ['Beijing', 'Berlin', 'London', 'Moscow', 'New York']);
  assert.deepEqual(await names({key: 'price', direction: 'desc'}, {limit: 2}), ['New York', 'Moscow']);
  assert.deepEqual(await names({key: 'price', start_from: 3}), ['London', 'Moscow', 'New York']);
  assert.deepEqual(await names({key: 'price', direction: 'desc', start_from: 7}), ['Moscow', 'London', 'Berlin', 'Beijing']);
  assert.deepEqual(await names({key: 'price'}, {filter: {must_not: [{has_id: [2]}]}, limit: 3}), ['Beijing', 'Berlin', 'Moscow']);
  assert.deepEqual(await names({key: 'day', direction: 'desc'}), ['London', 'Berlin']);
  assert.deepEqual(await names({key: 'day', start_from: '2024-05-15T00:00:00Z'}), ['London']);
  assert.deepEqual(await names('nowhere'), []);
  const page = await client.scroll('cities', {order_by: 'price', limit: 1});
  assert.equal(page.next_page_offset, null);
  assert.equal(page.points[0].order_value, 0.5);
  const {points} = await client.query('cities', {query: {order_by: {key: 'price', direction: 'desc'}}, limit: 2, offset: 1, with_payload: true});
  assert.deepEqual(points.map((p) => p.payload.city), ['Moscow', 'London']);
  assert.deepEqual(points.map((p) => p.order_value), [7, 3.5]);
  await assert.rejects(client.scroll('cities', {order_by: 'price', offset: 1}), {status: 400});
  await assert.rejects(client.scroll('cities', {order_by: {key: 'price', direction: 'up'}}), {status: 400});
  await assert.rejects(client.scroll('cities', {order_by: {key: 'price', start_from: 'soon'}}), {status: 400});
  await assert.rejects(client.scroll('cities', {order_by: {key: 'price', start_from: ''}}), {status: 400});
  await assert.rejects(client.scroll('cities', {order_by: {direction: 'asc'}}), {status: 400});
  await assert.rejects(client.scroll('cities', {order_by: 7}), {status: 400});
});

test('nested filters hold on one element', async () => {
  await client.createCollection('dinosaurs', {vectors: {size: 2, distance: 'Cosine'}});
  const point = (id, dinosaur, diet) => ({id, vector: [1, id], payload: {dinosaur, diet}});
  await client.upsert('dinosaurs', {points: [
    point(1, 't-rex', [{food: 'leaves', likes: false}, {food: 'meat', likes: true, cuts: [{name: 'rib', g: 300}]}]),
    point(2, 'diplodocus', [{food: 'leaves', likes: true}, {food: 'meat', likes: false, cuts: [{name: 'rib', g: 5}, {name: 'leg', g: 300}]}]),
    point(3, 'stone', 'nothing'), {id: 4, vector: [1, 4]}, point(5, 'single', {food: 'meat', likes: true})]});
  const found = async (filter) => (await client.scroll('dinosaurs', {filter})).points.map((p) => p.id);
  const meat = {key: 'food', match: {value: 'meat'}}, likes = {key: 'likes', match: {value: true}};
  assert.deepEqual(await found({must: [{nested: {key: 'diet', filter: {must: [meat, likes]}}}]}), [1]);
  assert.deepEqual(await found({must: [{nested: {key: 'diet[]', filter: {must: [meat, likes]}}}]}), [1]);
  assert.deepEqual(await found({must: [{key: 'diet[].food', match: {value: 'meat'}}, {key: 'diet[].likes', match: {value: true}}]}), [1, 2]);
  assert.deepEqual(await found({must: [{nested: {key: 'diet', filter: {must: [meat], must_not: [likes]}}}]}), [2]);
  assert.deepEqual(await found({must_not: [{nested: {key: 'diet', filter: {must: [meat]}}}]}), [3, 4, 5]);
  assert.deepEqual(await found({must: [{nested: {key: 'diet', filter: {must: [{has_id: [2]}, meat]}}}]}), [2]);
  const cut = {nested: {key: 'cuts', filter: {must: [{key: 'name', match: {value: 'rib'}}, {key: 'g', range: {gt: 100}}]}}};
  assert.deepEqual(await found({must: [{nested: {key: 'diet', filter: {must: [cut]}}}]}), [1]);
  assert.deepEqual(await found({must: [{key: 'diet[].cuts[].g', range: {lt: 10}}]}), [2]);
  assert.deepEqual(await found({must: [{is_empty: {key: 'diet[].cuts'}}]}), [3, 4, 5]);
  assert.deepEqual(await found({must: [{key: 'dinosaur', match: {text_any: 'rex stone'}}]}), [1, 3]);
  for (const nested of [{}, {key: 'diet'}, {filter: {}}, {key: 7, filter: {must: [meat]}}, {key: '', filter: {must: [meat]}}, {key: 'diet', filter: 7}])
    await assert.rejects(found({must: [{nested}]}), {status: 400}, JSON.stringify(nested));
  await client.deleteCollection('dinosaurs');
});

test('aliases stand for collections, move in one step, and survive a restart', async () => {
  const alias = async (...actions) => client.updateCollectionAliases({actions});
  assert.equal(await alias({create_alias: {collection_name: 'cities', alias_name: 'towns'}}), true);
  assert.deepEqual((await client.getAliases()).aliases, [{alias_name: 'towns', collection_name: 'cities'}]);
  for (const name of ['cities', 'towns'])
    assert.equal((await client.getCollectionAliases(name)).aliases.length, 1);
  assert.equal((await client.count('towns')).count, 6);
  assert.equal((await client.query('towns', {query: probe, limit: 1})).points[0].id, 4);
  assert.equal((await client.getCollection('towns')).points_count, 6);
  assert.deepEqual((await client.getCollections()).collections.map((c) => c.name), ['cities']);
  await client.upsert('towns', {points: [{id: 90, vector: [1, 0, 0, 0]}]});
  await client.delete('cities', {points: [90]});
  await client.createCollection('villages', {vectors: {size: 4, distance: 'Cosine'}});
  await alias({delete_alias: {alias_name: 'towns'}}, {create_alias: {collection_name: 'villages', alias_name: 'towns'}});
  assert.equal((await client.count('towns')).count, 0);
  await alias({rename_alias: {old_alias_name: 'towns', new_alias_name: 'places'}});
  await assert.rejects(client.count('towns'), {status: 404});
  await assert.rejects(alias({create_alias: {collection_name: 'cities', alias_name: 'x'}}, {create_alias: {collection_name: 'none', alias_name: 'y'}}), {status: 404});
  assert.deepEqual((await client.getAliases()).aliases, [{alias_name: 'places', collection_name: 'villages'}], 'all or nothing');
  await assert.rejects(alias({create_alias: {collection_name: 'none', alias_name: 'y'}}), {status: 404});
  await assert.rejects(alias({create_alias: {collection_name: 'cities', alias_name: 'villages'}}), {status: 409});
  await assert.rejects(alias({rename_alias: {old_alias_name: 'none', new_alias_name: 'y'}}), {status: 404});
  await assert.rejects(alias({rename_alias: {old_alias_name: 'places', new_alias_name: 'cities'}}), {status: 409});
  for (const action of [{}, {create_alias: {}}, {create_alias: {collection_name: 'cities', alias_name: 'a/b'}}, {create_alias: 7},
    {create_alias: {collection_name: 'cities', alias_name: ''}}, {create_alias: {collection_name: 'cities', alias_name: 7}}, {drop: {}}, 7])
    await assert.rejects(alias(action), {status: 400}, JSON.stringify(action));
  await assert.rejects(client.createCollection('places', {vectors: {size: 4, distance: 'Cosine'}}), {status: 400});
  assert.equal(await client.deleteCollection('places'), false, 'an alias is not the collection');
  assert.equal(await alias({delete_alias: {alias_name: 'nobody'}}), true);
  await server.restart();
  client = new QdrantClient({url: server.url});
  assert.deepEqual((await client.getAliases()).aliases, [{alias_name: 'places', collection_name: 'villages'}]);
  assert.equal((await client.count('places')).count, 0);
  await client.deleteCollection('villages');
  assert.deepEqual((await client.getAliases()).aliases, []);
  await client.createCollection('places', {vectors: {size: 4, distance: 'Cosine'}});
  await client.deleteCollection('places');
});

test('scroll pages through everything once', async () => {
  const seen = [];
  let offset;
  do {
    const page = await client.scroll('cities', {limit: 4, offset, with_payload: false});
    seen.push(...page.points.map((p) => p.id));
    offset = page.next_page_offset;
  } while (offset !== null);
  assert.equal(seen.length, 6);
  assert.equal(new Set(seen).size, 6);
});

test('every id can be asked for as it is answered', async () => {
  await client.createCollection('large', {vectors: {size: 2, distance: 'Cosine'}});
  const ids = ['0', '9223372036854775806', '9223372036854775807', '"9223372036854775808"', '"18446744073709551615"', '"18446744073709551616"', '"00"'];
  const points = ids.map((id, i) => `{"id":${id},"vector":[1,${i}]}`);
  assert.equal((await ask(server, 'PUT', '/collections/large/points', `{"points":[${points}]}`)).status, 200);
  const post = async (path, body) => {
    const reply = await fetch(`${server.url}/collections/large/points${path}`, {method: 'POST', body});
    const text = await reply.text(); // JSON.parse would round the numbers
    assert.equal(reply.status, 200, `${body}: ${text}`);
    return text;
  };
  const seen = [];
  for (let offset = 'null'; seen.length === 0 || offset !== 'null';) {
    assert.ok(seen.length < ids.length);
    const text = await post('/scroll', `{"limit":1,"offset":${offset}}`);
    seen.push(/"id":([^,]*),/.exec(text)[1]);
    offset = /"next_page_offset":([^}]*)\}/.exec(text)[1];
  }
  assert.deepEqual(seen.toSorted(), ids.toSorted());
  for (const id of seen) assert.ok((await post('', `{"ids":[${id}]}`)).includes(`"id":${id},`), id);
  await client.deleteCollection('large');
});

test('payloads are set, overwritten, deleted, cleared', async () => {
  const payload = async (id) => (await client.retrieve('cities', {ids: [id]}))[0].payload;
  await client.setPayload('cities', {payload: {price: 2, size: 'L'}, points: [1, 2]});
  assert.deepEqual(await payload(1), {...cities[0].payload, price: 2, size: 'L'});
  await client.setPayload('cities', {payload: {zip: 1}, key: 'maker', points: [4]});
  assert.deepEqual((await payload(4)).maker, {city: 'Oslo', zip: 1});
  await client.deletePayload('cities', {keys: ['size', 'tags'], points: [1]});
  assert.deepEqual(await payload(1), {city: 'Berlin', price: 2, day: cities[0].payload.day});
  await client.overwritePayload('cities', {payload: {city: 'Rome'}, filter: {must: [{key: 'city', match: {value: 'Berlin'}}]}});
  assert.deepEqual(await payload(1), {city: 'Rome'});
  await client.clearPayload('cities', {points: [1]});
  assert.deepEqual(await payload(1), {});
  await client.batchUpdate('cities', {operations: [
    {upsert: {points: [{id: 50, vector: [1, 1, 1, 1], payload: {a: 1}}]}},
    {set_payload: {payload: {b: 2}, points: [50]}}]});
  assert.deepEqual(await payload(50), {a: 1, b: 2});
  await client.delete('cities', {filter: {must: [{key: 'b', match: {value: 2}}]}});
  assert.equal((await client.count('cities')).count, 6);
});

test('parallel merges into one payload lose nothing', async () => {
  await client.overwritePayload('cities', {payload: {}, points: [1]});
  await Promise.all(Array.from({length: 20}, (_, i) => client.setPayload('cities', {payload: {[`k${i}`]: i}, points: [1]})));
  const [point] = await client.retrieve('cities', {ids: [1]});
  assert.equal(Object.keys(point.payload).length, 20);
});

test('a merge into a payload never takes back a put that was answered', async () => {
  for (let i = 0; i < 60; i++) {
    await Promise.all([
      client.setPayload('cities', {payload: {merged: i}, points: [1]}),
      client.upsert('cities', {points: [{...cities[0], payload: {put: i}}]}),
      client.setPayload('cities', {payload: {deep: i}, key: 'below', points: [1]})]);
    const [{payload}] = await client.retrieve('cities', {ids: [1]});
    assert.equal(payload.put, i);
  }
});
