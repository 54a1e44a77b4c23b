import { expect, it } from 'vitest';
import { scoped } from './scope.ts';

it('renames what a module declares, and bindings, but no members and no built-in names', () => {
  const code = `const x = 4u; // x of the module
struct Pair { x: f32, other: f32 }
var<workgroup> cells: array<vec2<f32>, x>;
fn twice(p: Pair) -> f32 { return 2.0 * p.x + w[x].x + min(cells[0].x, 1.0); }
`;
  expect(scoped(code, 'p0_', ['w'])).toBe(`const p0_x = 4u; // x of the module
struct p0_Pair { x: f32, other: f32 }
var<workgroup> p0_cells: array<vec2<f32>, p0_x>;
fn p0_twice(p: p0_Pair) -> f32 { return 2.0 * p.x + p0_w[p0_x].x + min(p0_cells[0].x, 1.0); }
`);
});

it('makes a function of the entry point', () => {
  const code =
    '@compute @workgroup_size(64)\nfn main(@builtin(workgroup_id) id: vec3<u32>) { let main_id = id.x; }\n';
  expect(scoped(code, 'p1_', [])).toBe('fn p1_main(id: vec3<u32>) { let main_id = id.x; }\n');
});
