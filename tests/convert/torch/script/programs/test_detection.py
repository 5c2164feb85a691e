"""Programs of detection: boxes, suppression, anchors, decoding of grids."""

from __future__ import annotations

import torch
from script_check import check
from torch import Tensor, nn

COUNT = {"boxes": {0: "n"}, "scores": {0: "n"}}


def boxes(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * 4
    size = torch.rand(count, 2, generator=generator) * 3 + 0.5
    return torch.cat([corner, corner + size], 1), torch.rand(count, generator=generator)


def overlap(one: Tensor, others: Tensor) -> Tensor:
    low = torch.max(one[:2], others[:, :2])
    high = torch.min(one[2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    area = (one[2] - one[0]) * (one[3] - one[1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    return shared / (area + areas - shared)


def test_suppression_by_a_shrinking_list() -> None:
    def program(boxes: Tensor, scores: Tensor) -> Tensor:
        order = scores.argsort(descending=True)
        kept: list[Tensor] = []
        while order.numel() > 0:
            best = order[0]
            kept.append(best)
            rest = order[1:]
            order = rest[overlap(boxes[best], boxes[rest]) <= 0.3]
        return torch.stack(kept)

    check(program, *boxes(8), dynamic=COUNT, others=[boxes(1), boxes(20)])


def test_suppression_by_marks_in_place() -> None:
    def program(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        order = scores.argsort(descending=True)
        ranked = boxes[order]
        gone = torch.zeros(boxes.shape[0], dtype=torch.bool)
        for i in range(boxes.shape[0]):
            if bool(gone[i]):
                continue
            gone[i + 1 :] |= overlap(ranked[i], ranked[i + 1 :]) > 0.3
        return order[~gone], scores[order][~gone]

    check(program, *boxes(8), dynamic=COUNT, others=[boxes(1), boxes(20)])


def test_suppression_by_class_with_a_limit() -> None:
    def program(boxes: Tensor, scores: Tensor, labels: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for label in range(2):
            index = torch.nonzero(labels == label).squeeze(1)
            order = index[scores[index].argsort(descending=True)]
            kept: list[int] = []
            for i in range(order.shape[0]):
                at = int(order[i])
                keep = True
                for j in range(len(kept)):
                    if bool(overlap(boxes[at], boxes[kept[j]].unsqueeze(0))[0] > 0.3):
                        keep = False
                        break
                if keep:
                    kept.append(at)
                if len(kept) >= 3:
                    break
            found.append(torch.tensor(kept))
        return found

    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
    dynamic = {**COUNT, "labels": {0: "n"}}
    others = [(*boxes(1), torch.tensor([1])), (*boxes(16), torch.arange(16) % 2)]
    check(program, *boxes(8), labels, dynamic=dynamic, others=others)


class Anchors(nn.Module):
    """Anchors over grids of several sizes, decoded with what the network says of them."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(3, 4, 1) for _ in range(2)])
        self.strides = [4, 8]

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        for i, head in enumerate(self.heads):
            stride = self.strides[i]
            y = head(nn.functional.avg_pool2d(x, stride))
            b, _, h, w = y.shape
            rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            centers = torch.stack([columns, rows], -1).view(1, -1, 2).float() * stride + stride / 2
            said = y.permute(0, 2, 3, 1).reshape(b, h * w, 4)
            middle = centers + said[..., :2] * stride
            size = said[..., 2:].exp() * stride
            found.append(torch.cat([middle - size / 2, middle + size / 2], -1).clamp(min=0.0))
        return torch.cat(found, 1)


def test_anchors_over_grids_of_any_size() -> None:
    dynamic = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [(torch.randn(1, 3, 8, 24),), (torch.randn(3, 3, 32, 16),)]
    check(Anchors(), torch.randn(2, 3, 16, 16), dynamic=dynamic, others=others, rtol=1e-5)


def test_the_best_above_a_threshold() -> None:
    def program(boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
        keep = scores > 0.4
        chosen, marks = boxes[keep], scores[keep]
        count = min(3, int(marks.shape[0]))
        marks, order = marks.topk(count)
        return {"boxes": chosen[order], "scores": marks, "count": torch.tensor(count)}

    check(program, *boxes(8), dynamic=COUNT, others=[boxes(2), boxes(20)])


def test_boxes_of_each_image_have_their_own_number() -> None:
    def program(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        sums: list[Tensor] = []
        start = 0
        for i in range(lengths.shape[0]):
            end = start + int(lengths[i])
            sums.append(x[start:end].sum(0))
            start = end
        return torch.stack(sums), x[start:]

    dynamic = {"x": {0: "n"}, "lengths": {0: "images"}}
    others = [(torch.randn(5, 2), torch.tensor([0, 3])), (torch.randn(9, 2), torch.tensor([4, 1, 1, 2]))]
    check(program, torch.randn(6, 2), torch.tensor([2, 1, 3]), dynamic=dynamic, others=others)


def test_cropped_and_padded_images() -> None:
    def program(x: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        top, left, bottom, right = int(box[0]), int(box[1]), int(box[2]), int(box[3])
        crop = x[:, top:bottom, left:right]
        side = max(bottom - top, right - left)
        square = torch.zeros(x.shape[0], side, side)
        square[:, : bottom - top, : right - left] = crop
        return crop, square

    others = [(torch.randn(3, 6, 8), torch.tensor(each)) for each in ([0, 0, 6, 8], [2, 1, 3, 7])]
    check(program, torch.randn(3, 6, 8), torch.tensor([1, 2, 5, 4]), others=others)


def test_labels_of_connected_places_spread() -> None:
    def program(x: Tensor) -> Tensor:
        h, w = x.shape
        mask = x > 0
        labels = (torch.arange(h * w).view(h, w) + 1) * mask
        while True:
            padded = torch.nn.functional.pad(labels, (1, 1, 1, 1))
            best = labels
            for dy in range(3):
                for dx in range(3):
                    best = torch.maximum(best, padded[dy : dy + h, dx : dx + w])
            best = best * mask
            if bool((best == labels).all()):
                break
            labels = best
        return labels

    dynamic = {"x": {0: "h", 1: "w"}}
    check(program, torch.randn(5, 6), dynamic=dynamic, others=[(torch.randn(3, 9),), (torch.ones(4, 4),)])
