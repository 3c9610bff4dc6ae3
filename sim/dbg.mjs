import { drawPlan, Simulation } from '/work/main/sim/dist/pbft/simulation.js';
const seed=Number(process.argv[2]); const plan=drawPlan(seed);
console.log(JSON.stringify({...plan}));
const s=new Simulation(plan);
try{s.run()}catch(e){console.log(e.message)}
for(let i=0;i<s.world.count;i++) console.log(i, JSON.stringify(s.node(i)?.status()));
console.log(s.world.now, plan.healAtMs);
import { decodeLogRecord } from '@itc/core/pbft/log.js';
import { parseSimBlock } from '/work/main/sim/dist/pbft/sim-block.js';
if (process.argv[3]) for (let i=0;i<s.world.count;i++){ console.log('node',i, 'blocks', s.world.disk(i).file('blocks').durable.length);
 for (const r of s.world.disk(i).file('write-ahead log').durable.slice(-30)) { const d=decodeLogRecord(r.bytes,parseSimBlock).value; console.log(d.kind, d.view??d.certificate?.view??d.message?.view, d.block?.height??d.certificate?.height??d.message?.height, (d.block?.hash??d.certificate?.hash??d.certificate?.digest)?.slice(0,3).join());}}
