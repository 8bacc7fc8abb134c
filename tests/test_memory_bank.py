"""The memory bank is bounded and hands memories out in SAM 2's order."""

import torch

from videoglamm_hf.memory_bank import FrameMemory, MemoryBank


def memory(value: int, objects: int = 2) -> FrameMemory:
    features = torch.full((4, objects, 3), float(value))
    pointers = torch.full((objects, 8), float(value)) + torch.arange(objects)[:, None] * 0.5
    return FrameMemory(features, torch.zeros(4, 1, 3), pointers)


def filled(num_frames: int) -> MemoryBank:
    bank = MemoryBank(num_maskmem=7, max_object_pointers=16)
    bank.condition(0, memory(0))
    for value in range(1, num_frames):
        bank.append(value, memory(value))
    return bank


def test_memories_are_the_first_frame_and_the_newest_six_oldest_first():
    values = [(distance, m.features[0, 0, 0].item()) for distance, m in filled(20).memories(20)]
    assert values == [(0, 0), (6, 14), (5, 15), (4, 16), (3, 17), (2, 18), (1, 19)]


def test_a_young_bank_has_no_gaps():
    values = [(distance, m.features[0, 0, 0].item()) for distance, m in filled(3).memories(3)]
    assert values == [(0, 0), (2, 1), (1, 2)]


def test_pointers_are_the_first_frame_and_the_newest_fifteen_newest_first():
    values = [(distance, p[0, 0].item()) for distance, p in filled(20).pointers(20)]
    assert values == [(20, 0), *((i, 20 - i) for i in range(1, 16))]


def test_it_does_not_grow_with_the_video():
    assert len(filled(500).memories(500)) == 7
    assert len(filled(500).pointers(500)) == 16


def test_keep_forgets_the_other_objects():
    bank = filled(10)
    bank.keep(torch.tensor([1]))
    assert all(m.features.shape[1] == 1 for _, m in bank.memories(10))
    assert next(p.tolist() for _, p in bank.pointers(10)) == [[0.5] * 8]
    bank.append(10, memory(10, objects=1))
    assert len(bank.memories(10)) == 7


def test_several_conditioning_frames_come_first_and_count_as_passed_by_direction():
    bank = MemoryBank(num_maskmem=7, max_object_pointers=16)
    for t in (0, 10, 20):
        bank.condition(t, memory(t))
    bank.append(11, memory(11))
    assert [(d, m.features[0, 0, 0].item()) for d, m in bank.memories(12)] == [(0, 0), (0, 10), (0, 20), (1, 11)]
    assert [(d, p[0, 0].item()) for d, p in bank.pointers(12)] == [(12, 0), (2, 10), (1, 11)]
    assert [d for d, _ in bank.pointers(12, backward=True)] == [8, 1]


def test_tracked_frames_can_be_forgotten():
    bank = filled(10)
    bank.forget_tracked()
    assert len(bank.memories(1)) == len(bank.pointers(1)) == 1
